//! The tokens of a document, as the parser will see them, without parsing.
//!
//! Limits on tokens and nesting are only as good as this agrees with the parser about where strings begin and end: a
//! bracket that this takes for text and the parser for syntax would escape them. Where the two might differ, a document
//! is refused or counted too high, never too low.

/// A token, as far as the limits care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `{`, `[` or `(`.
    Open,
    /// `}`, `]` or `)`.
    Close,
    /// A name, a number, a string, or one other character.
    Other,
    /// A block string without an end. The parser would read it anew as short strings, and so search for the end again
    /// and again.
    Endless,
}

/// The tokens of a text.
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

const BLOCK: &[u8] = b"\"\"\"";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl<'a> Tokens<'a> {
    /// The tokens of this text.
    pub(super) const fn of(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip_ignored(&mut self) {
        loop {
            match self.rest() {
                [b' ' | b'\t' | b'\n' | b'\r' | b',', ..] => self.at += 1,
                [b'#', ..] => self.skip_while(|byte| byte != b'\n' && byte != b'\r'),
                rest if rest.starts_with(BYTE_ORDER_MARK) => self.at += BYTE_ORDER_MARK.len(),
                _ => return,
            }
        }
    }

    fn skip_while(&mut self, belongs: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.at += rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len());
    }

    /// To the end of a string on one line; the parser gives up at a line's end.
    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            match self.rest() {
                [b'\\', _, ..] => self.at += 2,
                [b'\n' | b'\r', ..] | [] => return,
                [b'"', ..] => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
    }

    /// To the end of a block string, in which a backslash means something before three quotes only.
    fn skip_block(&mut self) -> Token {
        self.at += BLOCK.len();
        loop {
            match self.rest() {
                [] => return Token::Endless,
                [b'\\', quotes @ ..] if quotes.starts_with(BLOCK) => self.at += 1 + BLOCK.len(),
                rest if rest.starts_with(BLOCK) => {
                    self.at += BLOCK.len();
                    return Token::Other;
                }
                _ => self.at += 1,
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_ignored();
        let token = match self.rest() {
            [] => return None,
            rest if rest.starts_with(BLOCK) => return Some(self.skip_block()),
            [b'"', ..] => {
                self.skip_string();
                return Some(Token::Other);
            }
            // To the parser each zero at the front is a number of its own.
            [b'0', b'0'..=b'9', ..] => Token::Other,
            [byte, ..] if is_word(*byte) => {
                self.skip_while(is_word);
                return Some(Token::Other);
            }
            [b'{' | b'[' | b'(', ..] => Token::Open,
            [b'}' | b']' | b')', ..] => Token::Close,
            _ => Token::Other,
        };
        self.at += 1;
        Some(token)
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use proptest::prelude::*;

    use super::*;

    fn count(text: &str) -> usize {
        Tokens::of(text).count()
    }

    /// How deep the brackets of a text nest.
    fn depth(text: &str) -> usize {
        let (mut depth, mut deepest) = (0_usize, 0);
        for token in Tokens::of(text) {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                Token::Other | Token::Endless => {}
            }
            deepest = deepest.max(depth);
        }
        deepest
    }

    #[test]
    fn words_and_strings_are_one_token_and_comments_none() {
        let text = "query A($x: Int = -1.5e3) { a(b: \"c \\\" d\", e: \"\"\"f \" g\"\"\") # h i j\n }";
        assert_eq!(count(text), 24);
        assert_eq!(count("\"never closed"), 1);
        assert_eq!(Tokens::of("\"\"\"never closed \\\"\"\"").last(), Some(Token::Endless));
    }

    #[test]
    fn nothing_hides_behind_what_only_looks_like_the_end_of_a_string() {
        for (text, expected) in [
            (r#""""\\""" """ {{"#, 2),
            (r#""""\""" {{ """ {"#, 1),
            (r#"" \" {{ " {"#, 1),
            (r#""\\" {{ " {"#, 2),
            ("\" \n{{{", 3),
            ("# \" \r{{{", 3),
            ("\"\" {{ \"\" {{", 4),
            ("\"\"\"\"\"\" {{", 2),
            ("\"\"\"\"{\"\"\" {{", 2),
        ] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    #[test]
    fn what_the_parser_takes_apart_counts_apart() {
        assert_eq!((count("00001"), count("1-1-1"), count("a\u{feff}b"), count("ab_1")), (5, 5, 2, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn it_sees_at_least_the_brackets_that_the_parser_sees(
            value in "(\"|\"\"\"|\\\\|\\\\\"|\\\\\"\"\"|#|\n| |a|\\{|\\}|\\[|\\]|0|-1|\u{feff}){0,24}"
        ) {
            let text = format!("{{ f(v: [{value}]) }}");
            if let Ok(document) = parse_query(&text) {
                // What has no end here is refused whole, whatever the parser makes of it.
                let is_refused = Tokens::of(&text).any(|token| token == Token::Endless);
                prop_assert!(is_refused || depth(&text) >= nesting(&document), "{text}");
            }
        }
    }

    fn nesting(document: &async_graphql::parser::types::ExecutableDocument) -> usize {
        use async_graphql::Value;
        use async_graphql::parser::types::{DocumentOperations, Selection};
        fn of(value: &Value) -> usize {
            match value {
                Value::List(items) => 1 + items.iter().map(of).max().unwrap_or(0),
                Value::Object(members) => 1 + members.values().map(of).max().unwrap_or(0),
                _ => 0,
            }
        }
        let DocumentOperations::Single(operation) = &document.operations else { return 0 };
        let fields = operation.node.selection_set.node.items.iter().map(|item| match &item.node {
            Selection::Field(field) => {
                let values = field.node.arguments.iter().filter_map(|(_, value)| value.node.clone().into_const());
                values.map(|value| 2 + of(&value)).max().unwrap_or(1)
            }
            _ => 1,
        });
        fields.max().unwrap_or(0)
    }
}
