//! Values that fit the schema and mean harm: refused by the resolver before anything is admitted.

use serde_json::{Map, Value, json};

use super::{Case, Refusal, post};

const INPUT: Refusal = ("INVALID_INPUT", "INPUT");
const OPTION: Refusal = ("INVALID_INPUT", "OPTION");
const URL: Refusal = ("INVALID_INPUT", "URL");
const NOT_FOUND: Refusal = ("NOT_FOUND", "");

const GENERATE: &str = "mutation G($input: GenerateInput!) { generate(input: $input) { id } }";

struct Inputs(Vec<Case>);

impl Inputs {
    fn ask(&mut self, refusal: Refusal, name: impl Into<String>, query: &str, variables: &Value) {
        let body = json!({ "query": query, "variables": variables }).to_string();
        self.0.push(Case::refused(name, post(body.as_bytes()), 200, refusal));
    }

    /// A generation but for one member.
    fn generate(&mut self, refusal: Refusal, name: impl Into<String>, member: &str, value: Value) {
        let mut input = json!({ "type": "IMAGE", "provider": "flux-dev", "input": { "text": "x" } });
        input[member] = value;
        self.ask(refusal, name, GENERATE, &json!({ "input": input }));
    }
}

pub fn all() -> Vec<Case> {
    let mut all = Inputs(Vec::new());
    texts(&mut all);
    options(&mut all);
    labels(&mut all);
    addresses(&mut all);
    names(&mut all);
    all.0
}

/// A value within so many arrays or objects.
fn nested(depth: usize, array: bool) -> Value {
    (0..depth).fold(json!(1), |inner, _| if array { json!([inner]) } else { json!({ "a": inner }) })
}

fn texts(all: &mut Inputs) {
    for (name, text) in [
        ("none", json!(null)),
        ("an empty one", json!("")),
        ("blanks", json!(" \n\t")),
        ("a NUL", json!("a\0b")),
        ("nothing but NULs", json!("\0\0\0")),
        ("900,000 letters", json!("x".repeat(900_000))),
        ("200,000 foxes", json!("🦊".repeat(200_000))),
    ] {
        all.generate(INPUT, format!("the text: {name}"), "input", json!({ "text": text }));
    }
    for most in [-1_i64, i64::MIN] {
        all.generate(INPUT, format!("maxCredits {most}"), "maxCredits", json!(most));
    }
    for first in [-1_i64, 101, 1000, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX] {
        all.ask(
            INPUT,
            format!("first {first}"),
            "query Q($n: Int) { generations(first: $n) { nodes { id } } }",
            &json!({ "n": first }),
        );
    }
    for cursor in [
        "",
        " ",
        "x",
        "gen_",
        "gen_x",
        "\0",
        "' or 1=1 --",
        "Z2VuXw==",
        "////",
        "🦊",
        "gen_0000000000000000000000000000000",
        "0",
    ] {
        all.ask(
            INPUT,
            format!("after {cursor:?}"),
            "query Q($a: String) { generations(after: $a) { nodes { id } } }",
            &json!({ "a": cursor }),
        );
    }
}

fn options(all: &mut Inputs) {
    for (name, value) in [
        ("a number", json!(1)),
        ("a text", json!("{}")),
        ("a list", json!([])),
        ("true", json!(true)),
        ("an unknown name", json!({ "nothing": 1 })),
        ("an empty name", json!({ "": 1 })),
        ("a prototype", json!({ "__proto__": { "admin": true } })),
        ("a constructor", json!({ "constructor": { "prototype": {} } })),
        ("a name of 100,000 letters", json!({ "x".repeat(100_000): 1 })),
        ("100 arrays", json!({ "seed": nested(100, true) })),
        ("100 objects", json!({ "seed": nested(100, false) })),
        ("an object as aspect ratio", json!({ "aspectRatio": { "a": 1 } })),
        ("a list as aspect ratio", json!({ "aspectRatio": ["16:9"] })),
        ("a number as format, strictly", json!({ "format": 1, "strict": true })),
        ("a text as n", json!({ "n": "many" })),
        ("half a picture, strictly", json!({ "n": 0.5, "strict": true })),
        ("a text as seed", json!({ "seed": "x" })),
        ("a seed of half, strictly", json!({ "seed": 1.5, "strict": true })),
        ("strict as text", json!({ "strict": "yes" })),
        ("strict as number", json!({ "strict": 1 })),
        ("100,000 pictures, strictly", json!({ "n": 100_000, "strict": true })),
        ("an aspect ratio of zero, strictly", json!({ "aspectRatio": "0:0", "strict": true })),
    ] {
        all.generate(OPTION, format!("the options: {name}"), "options", value);
    }
    let many: Map<_, _> = (0..20_000).map(|n| (format!("a{n}"), json!(n))).collect();
    all.generate(OPTION, "the options: 20,000 names", "options", many.into());
    all.generate(INPUT, "the options: a NUL in a value", "options", json!({ "style": "a\0b" }));
    all.generate(INPUT, "the options: a NUL in a name", "options", json!({ "a\0b": 1 }));
}

fn labels(all: &mut Inputs) {
    for (name, value) in [
        ("a number", json!(1)),
        ("a text", json!("x")),
        ("a list", json!([1])),
        ("false", json!(false)),
        ("5,000 letters", json!({ "a": "x".repeat(5_000) })),
        ("a name of 5,000 letters", json!({ "x".repeat(5_000): 1 })),
        ("900,000 letters", json!({ "a": "x".repeat(900_000) })),
        ("3,000 numbers", json!({ "a": vec![1; 3_000] })),
        ("a NUL in a value", json!({ "a": "\0" })),
        ("a NUL in a name", json!({ "\0": 1 })),
        ("a NUL far below", json!({ "a": [{ "b": ["x\0"] }] })),
    ] {
        all.generate(INPUT, format!("the labels: {name}"), "labels", value);
    }
}

fn addresses(all: &mut Inputs) {
    let long = format!("https://example.com/{}", "x".repeat(3_000));
    for url in [
        "",
        " ",
        "x",
        "/hook",
        "//example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://",
        "https:///",
        "http://user:password@example.com/",
        "http://[::1",
        "http://exa mple.com/",
        "gopher://127.0.0.1/",
        "unix:/run/x.sock",
        "http:\\\\",
        "ws://example.com/",
        long.as_str(),
    ] {
        let shown: String = url.chars().take(40).collect();
        all.generate(URL, format!("the webhook {shown:?}"), "webhookUrl", json!(url));
    }
    all.generate(INPUT, "the webhook with a NUL", "input", json!({ "text": "x", "image": "https://example.com/\0" }));
    for url in [
        "x",
        "/media/x",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "data:",
        "data:,x",
        "data:image/png,x",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!",
        "data:text/html;charset=x,<script>",
        "blob:https://example.com/1",
        "http://",
        "http://a:b@example.com/a.png",
        "jar:http://x!/",
    ] {
        for name in ["image", "lastImage", "video", "audio"] {
            all.generate(URL, format!("{name} {url:?}"), "input", json!({ "text": "x", name: url }));
        }
        all.generate(URL, format!("images {url:?}"), "input", json!({ "text": "x", "images": [url] }));
    }
}

fn names(all: &mut Inputs) {
    for name in ["", " ", "x", "flux-devx", "../kling", "kling' or 1=1 --", "KLING\0", "🦊", &"x".repeat(100_000)] {
        let shown: String = name.chars().take(20).collect();
        let nul = name.contains('\0');
        all.generate(
            if nul { INPUT } else { ("INVALID_INPUT", "PROVIDER") },
            format!("the provider {shown:?}"),
            "provider",
            json!(name),
        );
        all.generate(
            if nul { INPUT } else { ("INVALID_INPUT", "MODEL") },
            format!("the model {shown:?}"),
            "model",
            json!(name),
        );
    }
    let long = "x".repeat(100_000);
    for id in [
        "",
        " ",
        "x",
        "1",
        "gen_",
        "gen_x",
        "GEN_00000000000000000000000000000000",
        "gen_0000000000000000000000000000000g",
        "gen_00000000-0000-0000-0000-000000000000",
        "' or 1=1 --",
        "\0",
        "🦊",
        "../x",
        &long,
    ] {
        let shown: String = id.chars().take(20).collect();
        for (field, query) in [
            ("generation", "query Q($id: ID!) { generation(id: $id) { id } }"),
            ("cancelGeneration", "mutation Q($id: ID!) { cancelGeneration(id: $id) }"),
            ("redeliverWebhook", "mutation Q($id: ID!) { redeliverWebhook(generationId: $id) }"),
        ] {
            all.ask(NOT_FOUND, format!("{field} {shown:?} of {} letters", id.len()), query, &json!({ "id": id }));
        }
    }
}
