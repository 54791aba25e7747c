//! Documents that are too large, do not fit the schema, or are no GraphQL. Each would start a generation if it ran.

use serde_json::json;

use super::{Case, PARSE, REQUEST, RUN, TOO_COMPLEX, VALIDATION, post};

struct Documents(Vec<Case>);

impl Documents {
    fn add(&mut self, expected: (&'static str, &'static str), name: impl Into<String>, query: &str) {
        let body = json!({ "query": query }).to_string();
        self.0.push(Case::refused(name, post(body.as_bytes()), 400, expected));
    }
}

pub fn all() -> Vec<Case> {
    let mut all = Documents(Vec::new());
    depth(&mut all);
    brackets(&mut all);
    widths(&mut all);
    directives(&mut all);
    tokens(&mut all);
    bombs(&mut all);
    cycles(&mut all);
    wrong_names(&mut all);
    wrong_values(&mut all);
    truncated(&mut all);
    junk(&mut all);
    literals(&mut all);
    all.0
}

fn depth(all: &mut Documents) {
    for n in [21, 22, 25, 30, 40, 50, 60] {
        let nested = format!("{}id{}", "a { ".repeat(n), " }".repeat(n));
        all.add(TOO_COMPLEX, format!("{n} fields deep"), &format!("mutation {{ {RUN} {nested} }}"));
        let fragments: Vec<_> =
            (0..n).map(|at| format!("fragment F{at} on Mutation {{ a {{ ...F{} }} }}", at + 1)).collect();
        let query = format!("mutation {{ {RUN} ...F0 }} {} fragment F{n} on Mutation {{ id }}", fragments.concat());
        all.add(TOO_COMPLEX, format!("{n} fields deep through fragments"), &query);
        let inline = format!("{}id{}", "... { a { ".repeat(n), " } }".repeat(n));
        all.add(
            TOO_COMPLEX,
            format!("{n} fields deep through inline fragments"),
            &format!("mutation {{ {RUN} {inline} }}"),
        );
    }
}

fn brackets(all: &mut Documents) {
    for (open, close) in [("{", "}"), ("[", "]"), ("(", ")"), ("{a", "}"), ("a(b:[", "])"), ("{a(b:{c:", "}){d}}")] {
        for n in [65, 100, 1000, 2000] {
            let nested = format!("mutation {{ {RUN} a(b: {}{}) }}", open.repeat(n), close.repeat(n));
            all.add(TOO_COMPLEX, format!("{n} of {open} closed"), &nested);
            all.add(
                TOO_COMPLEX,
                format!("{n} of {open} open"),
                &format!("mutation {{ {RUN} a(b: {} }}", open.repeat(n)),
            );
        }
    }
    for open in ["{", "[", "("] {
        all.add(TOO_COMPLEX, format!("a megabyte of {open}"), &open.repeat(1_000_000));
    }
    // What only looks like the end of a string must not hide them.
    for text in
        [r#""""\\""" """"#, r#""""\""" " """"#, r#""\\""#, r#""" " ""#, "\"\"\"\"\"\"", "# \"\n", "\u{feff}\"\""]
    {
        let query = format!("mutation {{ {RUN} a(b: [{text} {}]) }}", "[".repeat(500));
        all.add(TOO_COMPLEX, format!("brackets behind {text}"), &query);
    }
}

fn widths(all: &mut Documents) {
    let list = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<Vec<_>>().join(" ");
    for n in [51, 60, 100, 300] {
        let aliased = list(n, &|at| format!("a{at}: id"));
        all.add(TOO_COMPLEX, format!("{n} aliases"), &format!("mutation {{ generate {{ {aliased} }} }}"));
        let query = format!("mutation {{ generate {{ ...F }} }} fragment F on Generation {{ {aliased} }}");
        all.add(TOO_COMPLEX, format!("{n} aliases in a fragment"), &query);
    }
    for n in [501, 700, 1000] {
        let fields = format!(
            "mutation {{ generate {{ {} }} }} fragment F on Generation {{ {} }}",
            "...F id ".repeat(2),
            "id ".repeat(n)
        );
        all.add(TOO_COMPLEX, format!("twice {n} fields"), &fields);
        let fields = format!("mutation {{ generate {{ {} }} }}", "id status ".repeat(n));
        all.add(TOO_COMPLEX, format!("{n} pairs of fields"), &fields);
    }
    for n in [21, 25, 40] {
        let runs = list(n, &|at| RUN.replacen("generate", &format!("a{at}: generate"), 1));
        all.add(TOO_COMPLEX, format!("{n} generations"), &format!("mutation {{ {runs} }}"));
        let query = format!("mutation {{ {} }} fragment F on Mutation {{ {RUN} }}", "...F ".repeat(n));
        all.add(TOO_COMPLEX, format!("{n} times a fragment with a generation"), &query);
        let query = format!("mutation {{ {} }}", format!("... on Mutation {{ {RUN} }} ").repeat(n));
        all.add(TOO_COMPLEX, format!("{n} inline fragments with a generation"), &query);
    }
}

fn directives(all: &mut Documents) {
    for n in [51, 60, 200] {
        let many = "@include(if: true) ".repeat(n);
        for (place, query) in [
            ("a field", format!("mutation {{ {RUN} b: cancelGeneration(id: 1) {many} }}")),
            ("the operation", format!("mutation M {many} {{ {RUN} }}")),
            ("a variable", format!("mutation M($a: Int {many}) {{ {RUN} }}")),
            ("a fragment", format!("mutation {{ ...F }} fragment F on Mutation {many} {{ {RUN} }}")),
            ("a spread", format!("mutation {{ ...F {many} }} fragment F on Mutation {{ {RUN} }}")),
            ("an inline fragment", format!("mutation {{ ... on Mutation {many} {{ {RUN} }} }}")),
            ("a field below", format!("mutation {{ generate {{ id {many} }} }}")),
        ] {
            all.add(TOO_COMPLEX, format!("{n} directives on {place}"), &query);
        }
    }
}

fn tokens(all: &mut Documents) {
    for unit in [
        "a ",
        "a,",
        "0",
        "-1",
        "00 ",
        "\"\" ",
        "\"x\"",
        "\"\"\"\"\"\" ",
        "a\u{feff}",
        "$a ",
        "!",
        ":",
        "1.5 ",
        "{}",
        "[]",
        "...",
        "\u{e4}",
        "&",
    ] {
        for bytes in [12_000, 400_000] {
            // Six characters of which none makes two tokens leave less than the limit.
            let many = unit.repeat((bytes / unit.len()).max(5001));
            all.add(TOO_COMPLEX, format!("{bytes} bytes of {unit:?}"), &format!("mutation {{ {RUN} a(b: [{many}]) }}"));
        }
    }
    for bytes in [600, 60_000, 500_000] {
        // Read as short strings, each would begin a block string that has no end.
        let query = format!("mutation {{ {RUN} a(b: [{}]) }}", r#""""\"""#.repeat(bytes / 6));
        all.add(PARSE, format!("{bytes} bytes of block strings without an end"), &query);
    }
}

fn bombs(all: &mut Documents) {
    for (fan, levels) in [
        (2, 11),
        (2, 16),
        (2, 24),
        (2, 40),
        (2, 100),
        (3, 8),
        (3, 12),
        (3, 40),
        (4, 7),
        (4, 20),
        (5, 6),
        (5, 30),
        (8, 5),
        (8, 20),
        (10, 4),
        (10, 12),
    ] {
        for below in [false, true] {
            let spread = |to: usize| {
                let spreads = format!("...F{to} ").repeat(fan);
                if below && to.is_multiple_of(10) { format!("a {{ {spreads} }}") } else { spreads }
            };
            let fragments: Vec<_> =
                (0..levels).map(|at| format!("fragment F{at} on Generation {{ {} }}", spread(at + 1))).collect();
            let query = format!(
                "mutation {{ generate {{ ...F0 }} }} {} fragment F{levels} on Generation {{ id }}",
                fragments.concat()
            );
            all.add(TOO_COMPLEX, format!("a bomb of {fan} to the {levels}, with fields: {below}"), &query);
        }
    }
}

fn cycles(all: &mut Documents) {
    for n in 1..=20 {
        let fragments: Vec<_> =
            (0..n).map(|at| format!("fragment F{at} on Generation {{ id ...F{} }}", (at + 1) % n)).collect();
        let run = RUN.replace("{ id }", "{ ...F0 }");
        all.add(
            VALIDATION,
            format!("a cycle of {n} fragments"),
            &format!("mutation {{ {run} }} {}", fragments.concat()),
        );
    }
}

fn wrong_names(all: &mut Documents) {
    for query in [
        "mutation { RUN nothing }",
        "mutation { RUN cancelGeneration }",
        "mutation { RUN ...Nowhere }",
        "mutation { RUN ... on Nothing { id } }",
        "mutation { RUN ... on Int { id } }",
        "mutation { RUN ... on Query { account { id } } }",
        "mutation { RUN ... on GenerateInput { type } }",
        "mutation { RUN } fragment F on Mutation { cancelGeneration(id: 1) }",
        "mutation { RUN ...F } fragment F on Nothing { id }",
        "mutation { RUN ...F } fragment F on Query { account { id } }",
        "mutation { RUN b: cancelGeneration(id: 1) @nothing }",
        "mutation { RUN b: cancelGeneration(id: 1) @skip }",
        "mutation { RUN b: cancelGeneration(id: 1) @skip(if: 1) }",
        "mutation { RUN b: cancelGeneration(id: 1) @skip(unless: true) }",
        "mutation { RUN b: cancelGeneration(id: 1) @include(if: null) }",
        "mutation @skip(if: false) { RUN }",
        "mutation @deprecated { RUN }",
        "mutation($a: Int) { RUN }",
        "mutation($a: Nothing) { RUN b: cancelGeneration(id: $a) }",
        "mutation($a: Generation) { RUN b: cancelGeneration(id: $a) }",
        "mutation($a: ID!, $a: ID!) { RUN b: cancelGeneration(id: $a) }",
        "mutation($a: ID) { RUN b: cancelGeneration(id: $a) }",
        "mutation($a: [ID!]) { RUN b: cancelGeneration(id: $a) }",
        "mutation($a: Int = \"x\") { RUN b: cancelGeneration(id: $a) }",
        "mutation { RUN b: cancelGeneration(id: $a) }",
        "mutation { RUN b: cancelGeneration(id: 1, id: 2) }",
        "mutation { RUN b: cancelGeneration(id: 1, ids: 2) }",
        "mutation { RUN b: cancelGeneration(id: 1) { id } }",
        "mutation { RUN b: cancelGeneration(id: []) }",
        "mutation { RUN b: cancelGeneration(id: {}) }",
        "mutation { RUN b: cancelGeneration(id: null) }",
        "mutation { RUN b: cancelGeneration(id: 1.5) }",
        "mutation { RUN b: cancelGeneration(id: true) }",
        "mutation { RUN generate: cancelGeneration(id: 1) }",
        "mutation { RUN b: cancelGeneration(id: 1) b: cancelGeneration(id: 2) }",
        "mutation { RUN b: redeliverWebhook(id: 1) }",
        "mutation { RUN b: rotateWebhookSecret }",
        "mutation { RUN b: rotateWebhookSecret(id: 1) { secret } }",
        "mutation { RUN b: account { id } }",
        "mutation { RUN __schema { types { name } } }",
        "mutation { RUN __type(name: \"Query\") { name } }",
        "mutation A { RUN } mutation B { RUN }",
        "query { RUN }",
        "{ generate }",
        "{ account }",
        "{ account { id { id } } }",
        "{ account { id(a: 1) } }",
        "{ generation { id } }",
        "{ generations(first: \"1\") { nodes { id } } }",
        "{ generations(first: 1.0) { nodes { id } } }",
        "{ generations(type: video) { nodes { id } } }",
        "{ generations(type: [VIDEO]) { nodes { id } } }",
        "{ generations(status: DONE) { nodes { id } } }",
        "{ generations { nodes } }",
        "{ providers(available: 1) { id } }",
        "{ __type { name } }",
        "{ __type(name: 1) { name } }",
        "{ __typenames }",
    ] {
        all.add(VALIDATION, query, &query.replace("RUN", RUN));
    }
    for query in [
        "mutation A { RUN } mutation A { RUN }",
        "mutation A { RUN } { account { id } }",
        "fragment F on Query { account { id } }",
    ] {
        all.add(PARSE, query, &query.replace("RUN", RUN));
    }
    for query in [
        "subscription { generationUpdated(id: 1) { id } again: generationUpdated(id: 1) { id } }",
        "subscription { ...F } fragment F on Subscription { generationUpdated(id: 1) { id } }",
    ] {
        all.add(VALIDATION, query, query);
    }
    let query = "subscription { RUN }";
    all.add(REQUEST, query, &query.replace("RUN", RUN));
}

fn wrong_values(all: &mut Documents) {
    let ok = "{ prompt: \"x\" }";
    for field in ["videoCreate", "imageCreate", "audioCreate", "avatarCreate", "generate"] {
        for arguments in [
            String::new(),
            "(input: null)".to_owned(),
            "(input: 1)".to_owned(),
            "(input: \"x\")".to_owned(),
            "(input: [])".to_owned(),
            "(input: X)".to_owned(),
            "(input: { nothing: 1 })".to_owned(),
            "(input: { prompt: 1 })".to_owned(),
            "(input: { labels: {}, input: 1 })".to_owned(),
            "(input: $a)".to_owned(),
            "(input: { maxCredits: 99999999999999999999 })".to_owned(),
            "(input: { type: NOTHING, input: {} })".to_owned(),
            "(input: { priority: FASTEST })".to_owned(),
            "(input: { maxCredits: \"1\" })".to_owned(),
            "(input: { webhookUrl: {} })".to_owned(),
            "(input: { model: [1] })".to_owned(),
            format!("(inputs: {ok})"),
            format!("(input: {ok}, input: {ok})"),
            format!("(input: {ok}, extra: 1)"),
        ] {
            all.add(
                VALIDATION,
                format!("{field}{arguments}"),
                &format!("mutation {{ {RUN} b: {field}{arguments} {{ id }} }}"),
            );
        }
    }
}

/// A document that is cut off after each of its tokens but the last.
fn truncated(all: &mut Documents) {
    let tokens = "mutation M ( $a : [ String ! ] = [ \"x\" ] ) @include ( if : true ) { b : generate ( input : { type : IMAGE , provider : \
                  \"flux-dev\" , input : { text : \"x\" , images : $a } } ) @skip ( if : false ) { id ... on Generation { status } ...F } } \
                  fragment F on Generation { url }";
    let tokens: Vec<_> = tokens.split_whitespace().collect();
    let complete = tokens.iter().position(|token| *token == "fragment").unwrap_or_default();
    for n in (1..tokens.len()).filter(|n| *n != complete) {
        all.add(PARSE, format!("cut off after {n} tokens"), &tokens[..n].join(" "));
    }
    for missing in ["mutation", "(", ":", "[", "]", ")", "{", "}", "on"] {
        let at = tokens.iter().rposition(|token| *token == missing).unwrap_or_default();
        let others: Vec<_> = tokens.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, token)| *token).collect();
        all.add(PARSE, format!("without a {missing}"), &others.join(" "));
    }
}

fn junk(all: &mut Documents) {
    for junk in [
        "~",
        "`",
        "%",
        "^",
        "*",
        "+",
        "=",
        "\\",
        ";",
        "'",
        "<",
        ">",
        "?",
        "/",
        "-",
        "|",
        "&",
        ".",
        "..",
        "....",
        "\0",
        "\u{1}",
        "\u{7f}",
        "\u{a0}",
        "\u{200b}",
        "\u{202e}",
        "\u{2028}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{10ffff}",
        "é",
        "日本",
        "🦊",
        "//",
        "/* */",
        "<!--",
        "$",
        "@",
        "#\n~",
        "\"",
    ] {
        all.add(PARSE, format!("{junk:?} in a selection"), &format!("mutation {{ {RUN} {junk} }}"));
    }
    for query in [
        "",
        " ",
        "\n",
        ",,,",
        "#",
        "\u{feff}",
        "x",
        "null",
        "{}",
        "{ }",
        "mutation",
        "mutation {}",
        "mutation M",
        "()",
        "[]",
        "{ { } }",
    ] {
        all.add(PARSE, format!("the document {query:?}"), query);
    }
    for keyword in [
        "type T { id: ID }",
        "schema { query: Query }",
        "extend type Query { a: Int }",
        "scalar X",
        "directive @x on FIELD",
        "input I { a: Int }",
    ] {
        all.add(PARSE, format!("a definition {keyword}"), &format!("mutation {{ {RUN} }} {keyword}"));
    }
}

fn literals(all: &mut Documents) {
    for literal in [
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1F",
        "1a",
        "1_000",
        "--1",
        "+1",
        "- 1",
        "1.5.5",
        "0b1",
        "Infinity!",
        "\"",
        "\"\n\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\uD800\"",
        "\"\\uDC00\\uD800\"",
        "\"\\u{110000}\"",
        "'x'",
        "\"\"\"",
        "\"\"\"x",
        "\"\"\"x\"\"",
        "{a}",
        "{a:}",
        "{:1}",
        "{\"a\":1}",
        "{1:1}",
        "[1",
        "[,",
        "$",
        "$1",
        "$$a",
        "@a",
        "!",
        "a b:",
        "<a>",
        "a=1",
    ] {
        all.add(
            PARSE,
            format!("the value {literal:?}"),
            &format!("mutation {{ {RUN} b: cancelGeneration(id: {literal}) }}"),
        );
    }
}
