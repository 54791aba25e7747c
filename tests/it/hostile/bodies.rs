//! Bodies that are no GraphQL request: broken JSON, other encodings, numbers and depths without end, odd batches.

use serde_json::{Value, json};

use super::{Case, PARSE, REQUEST, RUN, Refusal, TOO_COMPLEX, post, post_with};

const JSON: &str = "application/json";

struct Bodies(Vec<Case>);

impl Bodies {
    fn add(&mut self, expected: Refusal, name: impl Into<String>, body: impl AsRef<[u8]>) {
        self.0.push(Case::refused(name, post(body.as_ref()), 400, expected));
    }
}

pub fn all() -> Vec<Case> {
    let mut all = Bodies(Vec::new());
    truncated(&mut all);
    bad_utf8(&mut all);
    other_encodings(&mut all);
    bad_json(&mut all);
    duplicates(&mut all);
    deep(&mut all);
    numbers(&mut all);
    wrong_types(&mut all);
    batches(&mut all);
    persisted(&mut all);
    content_types(&mut all.0);
    too_large(&mut all.0);
    all.0
}

fn document() -> String {
    format!("mutation {{ {RUN} }}")
}

fn good() -> String {
    json!({ "query": document(), "variables": { "a": [1, "b", null] }, "operationName": null }).to_string()
}

fn truncated(all: &mut Bodies) {
    let good = good();
    for length in (0..good.len()).step_by(4) {
        all.add(REQUEST, format!("JSON cut off after {length} bytes"), &good[..length]);
    }
}

fn bad_utf8(all: &mut Bodies) {
    let (before, after) = (format!(r#"{{"query": "{} # "#, document().replace('"', "\\\"")), br#""}"#);
    for bytes in [
        &b"\x80"[..],
        b"\xbf",
        b"\xc0\x80",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xc3",
        b"\xc3\x28",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xe2\x82",
        b"\xe2\x28\xa1",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x9f\x98",
        b"\xf0\x28\x8c\x28",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xff\xfe",
        b"a\xe9b",
    ] {
        all.add(REQUEST, format!("the bytes {}", hex::encode(bytes)), [before.as_bytes(), bytes, after].concat());
    }
}

fn other_encodings(all: &mut Bodies) {
    let good = good();
    let utf16: Vec<u16> = good.encode_utf16().collect();
    let utf32: Vec<u32> = good.chars().map(u32::from).collect();
    let bytes16 =
        |swap: bool| utf16.iter().flat_map(move |unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() });
    let bytes32 =
        |swap: bool| utf32.iter().flat_map(move |unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() });
    for (name, mark, body) in [
        ("UTF-8 with a mark", &b"\xef\xbb\xbf"[..], good.clone().into_bytes()),
        ("UTF-8 with two marks", b"\xef\xbb\xbf\xef\xbb\xbf", good.clone().into_bytes()),
        ("UTF-16LE", b"", bytes16(false).collect()),
        ("UTF-16BE", b"", bytes16(true).collect()),
        ("UTF-16LE with a mark", b"\xff\xfe", bytes16(false).collect()),
        ("UTF-16BE with a mark", b"\xfe\xff", bytes16(true).collect()),
        ("UTF-32LE", b"", bytes32(false).collect()),
        ("UTF-32BE", b"", bytes32(true).collect()),
        ("UTF-32LE with a mark", b"\xff\xfe\0\0", bytes32(false).collect()),
        ("UTF-7", b"+AHs-", b"+ACI-query+ACI-:1}".to_vec()),
        ("gzip", b"\x1f\x8b\x08\0", vec![0; 40]),
        ("CBOR", b"\xa1\x65query", b"\x61x".to_vec()),
        ("MessagePack", b"\x81\xa5query", b"\xa1x".to_vec()),
    ] {
        all.add(REQUEST, name, [mark, &body].concat());
    }
}

fn bad_json(all: &mut Bodies) {
    let query = format!("\"query\": {}", Value::from(document()));
    for body in [
        "",
        " ",
        "\0",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "null",
        "true",
        "1",
        "-1",
        "1.5",
        "\"x\"",
        "NaN",
        "Infinity",
        "undefined",
        "x",
        "<html>",
        "{\"query\"}",
        "{\"query\":}",
        "{\"query\":,}",
        "{query: \"x\"}",
        "{'query': 'x'}",
        "{\"query\" \"x\"}",
        "{\"query\": \"x\"",
        "[1",
        "[,]",
        "{,}",
        "{\"\": }",
        "mutation { a }",
        "query=x",
        "%7B%7D",
    ] {
        all.add(REQUEST, format!("the body {body:?}"), body);
    }
    for (before, after) in [
        ("", ","),
        ("", ", \"a\""),
        ("", ", \"a\": "),
        ("", ", \"a\": NaN"),
        ("", ", \"a\": Infinity"),
        ("", ", \"a\": 01"),
        ("", ", \"a\": 1."),
        ("", ", \"a\": .1"),
        ("", ", \"a\": +1"),
        ("", ", \"a\": 0x1"),
        ("", ", \"a\": 1e"),
        ("", ", \"a\": 'x'"),
        ("", ", \"a\": \"\t\""),
        ("", ", \"a\": \"\n\""),
        ("", ", \"a\": \"\0\""),
        ("", ", \"a\": \"\\x\""),
        ("", ", \"a\": \"\\u12\""),
        ("", ", \"a\": \"\\ud800\""),
        ("", ", \"a\": \"\\udc00\\ud800\""),
        ("", ", \"a\": \"\\ud800x\""),
        ("", "} {"),
        ("", "}, {\"b\": 1"),
        ("/* */ ", ""),
        ("", " // x"),
        ("# x\n", ""),
        ("", ", \"a\": truex"),
        ("", ", \"a\": nul"),
        ("", ", \"a\": [1,]"),
        ("", ", \"a\": {\"b\":1,}"),
        ("", "\0"),
        ("\u{feff}", ""),
        ("", ", \"a\": \u{a0}1"),
    ] {
        all.add(REQUEST, format!("JSON with {before:?} and {after:?}"), format!("{{{before}{query}{after}}}"));
    }
    all.add(REQUEST, "JSON twice", format!("{{{query}}}{{{query}}}"));
    all.add(REQUEST, "JSON with a NUL behind", format!("{{{query}}}\0"));
}

fn duplicates(all: &mut Bodies) {
    let query = Value::from(document()).to_string();
    for members in [
        format!(r#""query": "{{ account {{ id }} }}", "query": {query}"#),
        format!(r#""query": {query}, "query": {query}"#),
        format!(r#""query": {query}, "\u0071uery": "{{ account {{ id }} }}""#),
        format!(r#""query": {query}, "variables": {{}}, "variables": {{}}"#),
        format!(r#""query": {query}, "variables": {{"a": 1, "a": 2}}"#),
        format!(r#""query": {query}, "variables": {{"a": [{{"b": {{"c": 1, "c": 1}}}}]}}"#),
        format!(r#""query": {query}, "operationName": null, "operationName": "M""#),
        format!(r#""query": {query}, "extensions": {{"": 1, "": 2}}"#),
        format!(r#""query": {query}, "extra": 1, "extra": 1"#),
    ] {
        all.add(REQUEST, format!("twice in {members}"), format!("{{{members}}}"));
    }
    all.add(REQUEST, "twice in a batch", format!(r#"[{{"query": {query}, "query": {query}}}]"#));
}

fn deep(all: &mut Bodies) {
    let query = Value::from(document()).to_string();
    for n in [128, 200, 1_000, 10_000, 100_000, 400_000] {
        for (name, open, close) in [("arrays", "[", "]"), ("objects", "{\"a\":", "}"), ("both", "[{\"a\":", "}]")] {
            let n = n.min(900_000 / (open.len() + close.len()));
            let value = format!("{}1{}", open.repeat(n), close.repeat(n));
            for place in ["variables", "extensions", "other"] {
                let body = format!("{{\"query\": {query}, \"{place}\": {{\"a\": {value}}}}}");
                if n < 150_000 {
                    all.add(REQUEST, format!("{n} {name} deep in {place}"), body);
                }
            }
        }
    }
    for open in ["[", "{\"a\":", "[["] {
        all.add(REQUEST, format!("nothing but {open}"), open.repeat(1_000_000 / open.len()));
    }
}

fn numbers(all: &mut Bodies) {
    let query = Value::from(document()).to_string();
    let digits = |n: usize| "9".repeat(n);
    for (name, number) in [
        ("1e309", "1e309".to_owned()),
        ("-1e309", "-1e309".to_owned()),
        ("1e99999", "1e99999".to_owned()),
        ("1e999999999999999999999", "1e999999999999999999999".to_owned()),
        ("400 digits", digits(400)),
        ("100,000 digits", digits(100_000)),
        ("900,000 digits", digits(900_000)),
        ("minus 400 digits", format!("-{}", digits(400))),
        ("400 digits and a fraction", format!("{}.5", digits(400))),
        ("an exponent of 500,000 digits", format!("1e{}", digits(500_000))),
    ] {
        all.add(
            REQUEST,
            format!("the number {name}"),
            format!("{{\"query\": {query}, \"variables\": {{\"a\": {number}}}}}"),
        );
    }
}

fn wrong_types(all: &mut Bodies) {
    let values = [json!(1), json!(true), json!([]), json!({}), json!(["x"]), json!({"a": 1}), json!(1.5)];
    for value in &values {
        all.add(REQUEST, format!("query: {value}"), json!({ "query": value }).to_string());
        all.add(
            REQUEST,
            format!("operationName: {value}"),
            json!({ "query": document(), "operationName": value }).to_string(),
        );
    }
    for value in [json!(1), json!(true), json!([]), json!("x"), json!("{}"), json!(1.5), json!([{}])] {
        all.add(REQUEST, format!("variables: {value}"), json!({ "query": document(), "variables": value }).to_string());
        all.add(
            REQUEST,
            format!("extensions: {value}"),
            json!({ "query": document(), "extensions": value }).to_string(),
        );
    }
    for body in [
        json!({}),
        json!({"query": null}),
        json!({"Query": document()}),
        json!({"queries": [document()]}),
        json!({"variables": {}}),
    ] {
        all.add(REQUEST, format!("without a query: {body}"), body.to_string());
    }
}

fn batches(all: &mut Bodies) {
    let one = || json!({ "query": document() });
    for n in [11, 12, 20, 50, 100, 1_000, 5_000] {
        all.add(TOO_COMPLEX, format!("a batch of {n}"), Value::from(vec![one(); n]).to_string());
    }
    all.add(TOO_COMPLEX, "a batch of 200,000 nulls", Value::from(vec![Value::Null; 200_000]).to_string());
    all.add(TOO_COMPLEX, "a batch of 300,000 empty arrays", format!("[{}[]]", "[],".repeat(300_000)));
    all.add(REQUEST, "an empty batch", "[]");
    for (name, other) in [
        ("null", Value::Null),
        ("1", json!(1)),
        ("\"x\"", json!("x")),
        ("[]", json!([])),
        ("a batch", json!([one()])),
        ("{}", json!({})),
        ("a bad query", json!({"query": 1})),
    ] {
        all.add(REQUEST, format!("a batch that begins with {name}"), json!([other, one()]).to_string());
        all.add(REQUEST, format!("a batch that ends with {name}"), json!([one(), other]).to_string());
    }
    for n in [2, 5, 10] {
        let batch = vec![json!({ "query": format!("mutation {{ {RUN} {{ }}") }); n];
        all.add(PARSE, format!("a batch of {n} that are no GraphQL"), Value::from(batch).to_string());
        let deep = json!({ "query": format!("mutation {{ {RUN} {} }}", "a { ".repeat(70)) });
        all.add(TOO_COMPLEX, format!("a batch of {n} that are too deep"), Value::from(vec![deep; n]).to_string());
    }
}

fn persisted(all: &mut Bodies) {
    let refusal = ("INVALID_INPUT", "PERSISTED_QUERY");
    for hash in
        ["", "x", "00", &"0".repeat(63), &"0".repeat(64), &"0".repeat(65), &"g".repeat(64), &"0".repeat(900_000), "\0"]
    {
        let body =
            json!({ "query": document(), "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } });
        all.add(refusal, format!("a hash of {} letters, {:?}", hash.len(), hash.chars().next()), body.to_string());
    }
    for persisted in [
        json!(1),
        json!("x"),
        json!([]),
        json!({}),
        json!({"sha256Hash": 1}),
        json!({"sha256Hash": null}),
        json!({"sha256Hash": []}),
    ] {
        let body = json!({ "query": document(), "extensions": { "persistedQuery": persisted } });
        all.add(REQUEST, format!("persistedQuery: {persisted}"), body.to_string());
    }
}

fn content_types(all: &mut Vec<Case>) {
    for kind in [
        "",
        "text/plain",
        "text/html",
        "text/json",
        "application/graphql",
        "application/graphql+json",
        "application/graphql-response+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/xml",
        "application/json5",
        "application/jsonp",
        "application/json-patch+json",
        "application/vnd.api+json",
        "application/ld+json",
        "application/problem+json",
        "application/jso",
        "application/",
        "application",
        "json",
        "*/*",
        "application/*",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/json; charset=iso-8859-1",
        "application/json;charset=utf-32",
        "application/json; charset=\"utf-7\"",
        "application/json; charset=us-ascii",
        "application/json; charset=",
        "application/json; charset=utf-8; charset=utf-16",
        "\"application/json\"",
        "application\\json",
        "application /json",
    ] {
        let bytes = post_with(&format!("Content-Type: {kind}\r\n"), good().as_bytes());
        all.push(Case::refused(format!("the content type {kind:?}"), bytes, 415, REQUEST));
    }
    all.push(Case::refused("no content type", post_with("", good().as_bytes()), 415, REQUEST));
    let twice = post_with(&format!("Content-Type: text/plain\r\nContent-Type: {JSON}\r\n"), good().as_bytes());
    all.push(Case::refused("two content types", twice, 415, REQUEST));
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let bytes = post_with(
            &format!("Content-Type: {JSON}\r\nContent-Encoding: {coding}\r\n"),
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        );
        all.push(Case::refused(format!("a body in {coding}"), bytes, 400, REQUEST));
    }
}

fn too_large(all: &mut Vec<Case>) {
    let padded = |length: usize| json!({ "query": document(), "variables": { "a": "x".repeat(length) } }).to_string();
    for length in [1 << 20, (1 << 20) + 1, 2 << 20, 4 << 20, 8 << 20] {
        all.push(Case::refused(format!("a body of {length} letters"), post(padded(length).as_bytes()), 413, REQUEST));
        let body = padded(length);
        let chunks: String = body.as_bytes().chunks(40_000).fold(String::new(), |all, chunk| {
            all + &format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk))
        });
        let head = "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        all.push(Case::refused(
            format!("chunks of {length} letters"),
            format!("{head}{chunks}0\r\n\r\n").into_bytes(),
            413,
            REQUEST,
        ));
    }
    let blank = " ".repeat((1 << 20) - 10) + &good();
    all.push(Case::refused("a body of blanks", post(blank.as_bytes()), 413, REQUEST));
}
