//! Reads answers of the API: the data, or why there is none.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The code of what got no answer.
const UNREACHABLE: &str = "UNREACHABLE";

/// Why something was not done: an error of the API, or that there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{}: {message}", self.name())]
pub struct Refusal {
    /// The code of the API, or `UNREACHABLE`.
    pub code: String,
    /// The reason within the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do.
    pub message: String,
    /// Whether the same request may well succeed later.
    pub retryable: bool,
    /// The parameter it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The generation it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_id: Option<String>,
}

/// An error as the API sends it.
#[derive(Deserialize)]
struct Sent {
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extensions {
    code: Option<String>,
    reason: Option<String>,
    retryable: bool,
    field: Option<String>,
    retry_after: Option<u64>,
    generation_id: Option<String>,
}

impl Refusal {
    fn new(code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        Self { code, reason: None, message, retryable: false, field: None, retry_after: None, generation_id: None }
    }

    /// There was no answer.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(UNREACHABLE, message) }
    }

    /// What was asked for makes no sense, as can be told without asking.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("INVALID_INPUT", message)
    }

    /// There is no key to ask with.
    pub fn no_key() -> Self {
        let message =
            "Set DOITONG_API_KEY to an API key. The operator makes keys with: doitong keys create --account NAME";
        Self::new("UNAUTHENTICATED", message)
    }

    /// Something answered, but not as a gateway does.
    pub fn strange(message: impl Into<String>) -> Self {
        Self::new(UNREACHABLE, message)
    }

    /// Whether the request may have been done, and may be repeated at once.
    pub fn is_lost(&self) -> bool {
        self.retryable && [UNREACHABLE, "INTERNAL"].contains(&self.code.as_str())
    }

    /// The code, and the reason where there is one.
    pub fn name(&self) -> String {
        self.reason.as_ref().map_or_else(|| self.code.clone(), |reason| format!("{}/{reason}", self.code))
    }
}

impl From<Sent> for Refusal {
    fn from(Sent { message, extensions }: Sent) -> Self {
        let Extensions { code, reason, retryable, field, retry_after, generation_id } = extensions;
        let code = code.unwrap_or_else(|| "INTERNAL".to_owned());
        Self { code, reason, message, retryable, field, retry_after, generation_id }
    }
}

/// The `data` of an answer in JSON, or the first of its errors.
pub fn read(status: u16, body: &[u8]) -> Result<Value, Refusal> {
    let mut answer = parsed(status, body)?;
    match answer.get_mut("data").map(Value::take) {
        Some(data) if data.is_object() => Ok(data),
        _ => Err(no_gateway(status)),
    }
}

/// The URL of an upload.
pub(super) fn uploaded(status: u16, body: &[u8]) -> Result<String, Refusal> {
    let answer = parsed(status, body)?;
    answer["url"].as_str().map(str::to_owned).ok_or_else(|| no_gateway(status))
}

fn parsed(status: u16, body: &[u8]) -> Result<Value, Refusal> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| no_gateway(status))?;
    let error = answer.get("errors").and_then(|errors| errors.get(0)).map(Sent::deserialize);
    match error {
        Some(Ok(error)) => Err(error.into()),
        Some(Err(_)) => Err(no_gateway(status)),
        None => Ok(answer),
    }
}

/// Something else answered: a proxy whose gateway is away, or another service.
fn no_gateway(status: u16) -> Refusal {
    if status >= 500 {
        return Refusal::unreachable(format!("a proxy answers with HTTP {status}; the gateway behind it is away"));
    }
    Refusal::strange(format!("what answers (HTTP {status}) is no Doitong gateway; check DOITONG_URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_what_the_api_says_of_it() {
        let body = br#"{"errors":[{"message":"Wait.","extensions":{"code":"RATE_LIMIT","reason":"READS","retryable":true,"retryAfter":3}}]}"#;
        let refusal = read(429, body).unwrap_err();
        assert_eq!(refusal.to_string(), "RATE_LIMIT/READS: Wait.");
        assert_eq!((refusal.retryable, refusal.retry_after, refusal.is_lost()), (true, Some(3), false));
    }

    #[test]
    fn what_is_no_answer_of_a_gateway_is_told_apart() {
        assert!(read(502, b"<html>Bad Gateway").unwrap_err().is_lost());
        for (status, body) in [(404, &b"nothing here"[..]), (200, b"{}"), (200, br#"{"errors":[1]}"#)] {
            let refusal = read(status, body).unwrap_err();
            assert_eq!((refusal.code.as_str(), refusal.is_lost()), ("UNREACHABLE", false));
        }
        assert_eq!(read(200, br#"{"data":{"a":1}}"#).unwrap()["a"], 1);
        assert_eq!(uploaded(200, br#"{"url":"u"}"#).unwrap(), "u");
    }
}
