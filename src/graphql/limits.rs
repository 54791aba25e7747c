//! How large a document may be. Everything is counted before it runs, each fragment once, so that the count itself is
//! cheap whatever the document.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{Directive, ExecutableDocument, OperationDefinition, Selection, SelectionSet},
};

use super::{
    error::ApiError,
    lexer::{Token, Tokens},
};
use crate::config;

/// What a selection amounts to, with its fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    depth: usize,
    fields: usize,
    aliases: usize,
    directives: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
    }
}

/// Brackets within brackets that a document may have: the parser calls itself for each.
const MAX_NESTING: usize = 64;

/// Refuses a text with too many tokens, or that nests too deep, before it is parsed.
pub(super) fn check_text(query: &str, limits: &config::GraphQl) -> Result<(), ApiError> {
    let mut depth = 0_usize;
    for (count, token) in Tokens::of(query).enumerate() {
        if count >= limits.max_tokens {
            return Err(over("tokens", limits.max_tokens));
        }
        match token {
            Token::Open if depth >= MAX_NESTING => {
                let message = format!("The document nests more than {MAX_NESTING} brackets. Ask for less.");
                return Err(ApiError::too_complex(message));
            }
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Other => {}
            Token::Endless => {
                return Err(ApiError::parse("The query is not GraphQL: a block string has no end."));
            }
        }
    }
    Ok(())
}

/// Refuses a document that is too large. Says how many generations the operation asks for.
pub(super) fn check(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    limits: &config::GraphQl,
) -> Result<usize, ApiError> {
    let mut sizes = Sizes { document, known: HashMap::new() };
    let mut size = sizes.of_set(&operation.selection_set.node);
    size.directives += operation.directives.len();
    for definition in &operation.variable_definitions {
        size.directives += definition.node.directives.len();
    }
    let roots = root_fields(document, &operation.selection_set.node, limits.max_root_fields);
    let checks = [
        ("levels", size.depth, limits.max_depth),
        ("fields", size.fields, limits.max_complexity),
        ("aliases", size.aliases, limits.max_aliases),
        ("directives", size.directives, limits.max_directives),
        ("fields at the root", roots.len(), limits.max_root_fields),
    ];
    match checks.into_iter().find(|(_, count, limit)| count > limit) {
        Some((what, _, limit)) => Err(over(what, limit)),
        None => Ok(roots.iter().filter(|name| GENERATING.contains(name)).count()),
    }
}

/// The fields that ask for a generation.
const GENERATING: [&str; 5] = ["generate", "videoCreate", "imageCreate", "audioCreate", "avatarCreate"];

fn over(what: &str, limit: usize) -> ApiError {
    ApiError::too_complex(format!("The document has more than {limit} {what}. Ask for less, or in several requests."))
}

struct Sizes<'a> {
    document: &'a ExecutableDocument,
    /// `None` while a fragment is being counted: a cycle, which validation refuses, counts nothing more.
    known: HashMap<&'a Name, Option<Size>>,
}

impl<'a> Sizes<'a> {
    fn of_set(&mut self, set: &'a SelectionSet) -> Size {
        let mut size = Size::default();
        for selection in &set.items {
            size.add(match &selection.node {
                Selection::Field(field) => {
                    let mut inner = self.of_set(&field.node.selection_set.node);
                    inner.depth += 1;
                    inner.fields = inner.fields.saturating_add(1);
                    inner.aliases += usize::from(field.node.alias.is_some());
                    with(inner, &field.node.directives)
                }
                Selection::InlineFragment(fragment) => {
                    with(self.of_set(&fragment.node.selection_set.node), &fragment.node.directives)
                }
                Selection::FragmentSpread(spread) => {
                    with(self.of_fragment(&spread.node.fragment_name.node), &spread.node.directives)
                }
            });
        }
        size
    }

    fn of_fragment(&mut self, name: &Name) -> Size {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else { return Size::default() };
        if let Some(known) = self.known.get(name) {
            return known.unwrap_or_default();
        }
        self.known.insert(name, None);
        let size = with(self.of_set(&fragment.node.selection_set.node), &fragment.node.directives);
        self.known.insert(name, Some(size));
        size
    }
}

fn with(mut size: Size, directives: &[Positioned<Directive>]) -> Size {
    size.directives = size.directives.saturating_add(directives.len());
    size
}

/// The names of the fields at the root, after fragments, at most one more than `limit`. Each fragment is walked at most
/// that often, so that nested spreads of one another stay cheap.
fn root_fields<'a>(document: &'a ExecutableDocument, root: &'a SelectionSet, limit: usize) -> Vec<&'a str> {
    let (mut names, mut open, mut visits) = (Vec::new(), vec![root], 0);
    while let Some(set) = open.pop() {
        visits += 1;
        if names.len() > limit || visits > 10 * (limit + 1) {
            break;
        }
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => names.push(field.node.name.node.as_str()),
                Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let fragment = document.fragments.get(&spread.node.fragment_name.node);
                    open.extend(fragment.map(|fragment| &fragment.node.selection_set.node));
                }
            }
        }
    }
    names.truncate(limit + 1);
    names
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::graphql::dialect::executed;

    fn limits() -> config::GraphQl {
        config::GraphQl {
            max_depth: 4,
            max_complexity: 20,
            max_aliases: 3,
            max_root_fields: 5,
            max_directives: 3,
            max_tokens: 100,
            max_batch: 10,
        }
    }

    fn checked(query: &str) -> Result<usize, String> {
        check_text(query, &limits()).map_err(|error| error.message.to_string())?;
        let document = parse_query(query).unwrap();
        let operation = executed(&document, None).unwrap();
        check(&document, operation, &limits()).map_err(|error| error.message.into())
    }

    #[test]
    fn generations_are_counted_through_fragments() {
        assert_eq!(checked("mutation { generate a: imageCreate ...F } fragment F on Mutation { videoCreate }"), Ok(3));
        assert_eq!(checked("{ providers { id } }"), Ok(0));
    }

    #[test]
    fn what_is_too_large_is_refused_by_name() {
        for (query, what) in [
            ("{ a { b { c { d { e } } } } }", "4 levels"),
            ("{ a: z b: z c: z d: z }", "3 aliases"),
            ("{ a @x @x b @x @x }", "3 directives"),
            ("{ a b c d e f }", "5 fields at the root"),
            (&format!("{{ a {{ {} }} }}", "b ".repeat(21)), "20 fields"),
            (&"{ a } ".repeat(50), "100 tokens"),
        ] {
            let refused = checked(query).unwrap_err();
            assert!(refused.contains(what), "{query}: {refused}");
        }
    }

    #[test]
    fn a_bomb_of_fragments_is_counted_without_being_expanded() {
        let fragment = |n| format!("fragment F{n} on T {{ x {{ ...F{m} ...F{m} }} }}", m = n + 1);
        let fragments: Vec<_> = (0..30).map(fragment).collect();
        let query = format!("{{ ...F0 }} fragment F30 on T {{ y }} {}", fragments.concat());
        let document = parse_query(&query).unwrap();
        let refused = check(&document, executed(&document, None).unwrap(), &limits()).unwrap_err();
        assert!(refused.message.contains("more than"), "{}", refused.message);
    }
}
