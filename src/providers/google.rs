//! What Google's services share: how a call is signed, where Vertex AI lives, how a refusal reads.
//!
//! A call carries either an API key, or the access token of a service account. The token is bought with a JWT that the
//! key of the account file signs, and is kept until shortly before its end.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use ring::{rand::SystemRandom, rsa, signature};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Cx, Reply, Task,
    http::{excerpt, preparing},
};
use crate::domain::{Fault, Timestamp, Verdict, fault::Kind};

/// The host of the services that take an API key.
pub const GEMINI: &str = "https://generativelanguage.googleapis.com";

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN: &str = "google-access-token";
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const KEY: &str = "GEMINI_API_KEY";

/// Which of the two front doors a route uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The Gemini API, by API key.
    Gemini,
    /// Vertex AI, by service account.
    Vertex,
}

impl Service {
    /// The route's `params.service`.
    pub fn of(task: &Task) -> Self {
        if task.params.get("service").and_then(Value::as_str) == Some("vertex") { Self::Vertex } else { Self::Gemini }
    }
}

/// Adds the credentials of a service to a call.
pub async fn sign(cx: &Cx, call: Call, service: Service) -> Result<Call, Fault> {
    Ok(match service {
        Service::Gemini => call.header("x-goog-api-key", cx.secret(KEY)?),
        Service::Vertex => call.bearer(&access_token(cx).await.map_err(preparing)?),
    })
}

/// The project's address on Vertex AI, in this location or in that of `GOOGLE_CLOUD_LOCATION`.
pub fn vertex(cx: &Cx, version: &str, location: Option<&str>) -> Result<String, Fault> {
    let location = location.map_or_else(|| cx.secret("GOOGLE_CLOUD_LOCATION"), Ok)?;
    let project = cx.secret("GOOGLE_CLOUD_PROJECT")?;
    let region = if location == "global" { String::new() } else { format!("{location}-") };
    Ok(format!("https://{region}aiplatform.googleapis.com/{version}/projects/{project}/locations/{location}"))
}

/// Proves each set of credentials that is there: the model list for the key, a token for the account.
pub async fn check(cx: &Cx) -> Result<(), Fault> {
    if cx.try_secret(FILE).is_some() {
        forget_token(cx);
        access_token(cx).await?;
        if cx.try_secret(KEY).is_none() {
            return Ok(());
        }
    }
    let reply = sign(cx, cx.get(&format!("{GEMINI}/v1beta/models"))?, Service::Gemini).await?.send().await?;
    if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
}

/// Lets go of the token after an answer 401, so that the next call buys a new one.
pub fn forget_token(cx: &Cx) {
    cx.cache.put(TOKEN, Value::Null, cx.now());
}

async fn access_token(cx: &Cx) -> Result<String, Fault> {
    let now = cx.now();
    if let Some(Value::String(token)) = cx.cache.get(TOKEN, now) {
        return Ok(token);
    }
    let account = Account::read(cx.secret(FILE)?).await?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .append_pair("assertion", &account.assertion(now)?)
        .finish();
    let reply = cx.post(&account.token_uri)?.body("application/x-www-form-urlencoded", form).send().await?;
    if !reply.is_success() {
        return Err(token_refusal(&reply));
    }
    let token: Token = reply.json()?;
    let good_for = TimeDelta::seconds((token.expires_in - 300).max(1));
    cx.cache.put(TOKEN, json!(token.access_token), now + good_for);
    Ok(token.access_token)
}

fn token_refusal(reply: &Reply) -> Fault {
    let mut fault = reply.fault(excerpt(&format!("no access token: {}", String::from_utf8_lossy(&reply.body))));
    if (400..500).contains(&reply.status) && reply.status != 429 {
        fault.kind = Kind::Account;
    }
    fault
}

/// A service-account file.
#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    #[serde(default = "default_token_uri")]
    token_uri: String,
}

fn default_token_uri() -> String {
    "https://oauth2.googleapis.com/token".into()
}

impl Account {
    async fn read(path: &str) -> Result<Self, Fault> {
        let text = tokio::fs::read(path)
            .await
            .map_err(|error| Fault::refused(Kind::Account, "the service-account file cannot be read").because(error))?;
        serde_json::from_slice(&text).map_err(|_| Fault::refused(Kind::Account, "this is no service-account file"))
    }

    /// The signed JWT that buys a token.
    fn assertion(&self, now: Timestamp) -> Result<String, Fault> {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.private_key_id {
            header["kid"] = json!(id);
        }
        let issued = now.timestamp();
        let claims = json!({
            "iss": self.client_email, "scope": SCOPE, "aud": self.token_uri, "iat": issued, "exp": issued + 3600,
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let key = self.key()?;
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Fault::refused(Kind::Account, "the service account's key does not sign"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn key(&self) -> Result<rsa::KeyPair, Fault> {
        let bad = || Fault::refused(Kind::Account, "the service account's key is no RSA key in PEM");
        match PrivateKeyDer::from_pem_slice(self.private_key.as_bytes()).map_err(|_| bad())? {
            PrivateKeyDer::Pkcs8(der) => rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => rsa::KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(bad()),
        }
        .map_err(|_| bad())
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default = "an_hour")]
    expires_in: i64,
}

const fn an_hour() -> i64 {
    3600
}

/// Whether an upstream's words speak of its content rules.
pub fn is_moderation(words: &str) -> bool {
    let words = words.to_lowercase();
    ["support code", "usage guideline", "responsible ai", "content polic", "safety", "violat"]
        .iter()
        .any(|hint| words.contains(hint))
}

/// Reads the classic error body, `{"error":{"code","message","status","details"}}`, also within a list of one.
pub fn classify(reply: &Reply) -> Fault {
    let error = error_body(reply);
    let message = error["message"].as_str().unwrap_or_default();
    let status = error["status"].as_str().unwrap_or_default();
    let detail = excerpt(&format!("{status}: {message}"));
    let mut fault = if status.is_empty() { reply.fault(detail) } else { reply.told_fault(detail) };
    fault.retry_after = fault.retry_after.or_else(|| retry_delay(&error));
    let bad_key = details(&error).any(|detail| detail["reason"] == "API_KEY_INVALID");
    match reply.status {
        400 if bad_key || status == "FAILED_PRECONDITION" => fault.kind = Kind::Account,
        400 if is_moderation(message) => fault.kind = Kind::Moderated,
        // The model is unknown, retired or not open to us.
        404 => fault.kind = Kind::Account,
        499 => (fault.kind, fault.verdict) = (Kind::Down, Verdict::Unknown),
        _ => {}
    }
    fault
}

/// The member `error` of an error body; null where there is none.
pub fn error_body(reply: &Reply) -> Value {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let body = body.get(0).unwrap_or(&body);
    body.get("error").cloned().unwrap_or_default()
}

/// How long to wait: `RetryInfo.retryDelay`, or "Please retry in 48.1s." in the message.
pub fn retry_delay(error: &Value) -> Option<Duration> {
    let told = details(error).find_map(|detail| seconds(detail["retryDelay"].as_str()?));
    told.or_else(|| seconds(error["message"].as_str()?.split_once("retry in ")?.1))
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error["details"].as_array().into_iter().flatten()
}

fn seconds(text: &str) -> Option<Duration> {
    let number: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Duration::try_from_secs_f64(number.trim_end_matches('.').parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &Value) -> Reply {
        Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() }
    }

    #[test]
    fn refusals_are_told_apart() {
        let error = |status: &str, reason: &str| json!({"error": {"code": 0, "message": "no", "status": status, "details": [{"reason": reason}]}});
        let cases = [
            (400, error("INVALID_ARGUMENT", ""), Kind::InvalidInput, Verdict::Refused),
            (400, error("INVALID_ARGUMENT", "API_KEY_INVALID"), Kind::Account, Verdict::Refused),
            (400, error("FAILED_PRECONDITION", ""), Kind::Account, Verdict::Refused),
            (400, json!([error("FAILED_PRECONDITION", "")]), Kind::Account, Verdict::Refused),
            (401, error("UNAUTHENTICATED", ""), Kind::Account, Verdict::Refused),
            (404, error("NOT_FOUND", ""), Kind::Account, Verdict::Refused),
            (429, error("RESOURCE_EXHAUSTED", ""), Kind::Busy, Verdict::Refused),
            (500, error("INTERNAL", ""), Kind::Down, Verdict::Refused),
            (500, json!({}), Kind::Down, Verdict::Unknown),
            (503, error("UNAVAILABLE", ""), Kind::Down, Verdict::Refused),
            (504, error("DEADLINE_EXCEEDED", ""), Kind::Down, Verdict::Refused),
            (502, json!("bad gateway"), Kind::Down, Verdict::Unknown),
            (502, json!([]), Kind::Down, Verdict::Unknown),
        ];
        for (status, body, kind, verdict) in cases {
            let fault = classify(&reply(status, &body));
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{status} {body}");
        }
    }

    #[test]
    fn the_wait_is_read_from_details_or_words() {
        assert_eq!(retry_delay(&json!({"details": [{"retryDelay": "48s"}]})), Some(Duration::from_secs(48)));
        assert_eq!(retry_delay(&json!({"message": "Please retry in 1.5s."})), Some(Duration::from_millis(1500)));
        assert_eq!(retry_delay(&json!({"message": "no"})), None);
    }
}
