//! Reads [{secret, headers, body}, …] from standard input and prints for each whether the function of a document takes it.

mod block;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

fn main() {
    let cases: Vec<Value> = serde_json::from_reader(std::io::stdin()).unwrap();
    let verdict = |case: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers: HeaderMap = case["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(text(value).as_bytes()).unwrap()))
            .collect();
        block::verify(&text(&case["secret"]), &headers, text(&case["body"]).as_bytes())
    };
    println!("{:?}", cases.iter().map(verdict).collect::<Vec<_>>());
}
