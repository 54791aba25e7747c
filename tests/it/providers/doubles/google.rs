//! What the doubles of Google's services share: keys, the token exchange, the classic error body.
//! The key of `fixtures/google/service-account.json` was made for these tests and opens nothing.

use axum::response::Response;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rsa,
    signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::asked::{Asked, answer, fixture};

pub const KEY: &str = "gemini-key";
pub const PROJECT: &str = "test-project";
pub const LOCATION: &str = "us-central1";
const TOKEN: &str = "ya29.test";

/// The credentials of the Vertex forms.
pub fn account() -> [(&'static str, &'static str); 3] {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/google/service-account.json");
    [("GOOGLE_APPLICATION_CREDENTIALS", file), ("GOOGLE_CLOUD_PROJECT", PROJECT), ("GOOGLE_CLOUD_LOCATION", LOCATION)]
}

pub fn error(status: u16, word: &str, message: &str, details: &Value) -> Response {
    answer(status, json!({"error": {"code": status, "message": message, "status": word, "details": details}}))
}

pub fn invalid(message: &str) -> Response {
    error(400, "INVALID_ARGUMENT", message, &json!([]))
}

pub fn busy() -> Response {
    let retry = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}]);
    error(429, "RESOURCE_EXHAUSTED", "Quota exceeded. Please retry in 48.1s.", &retry)
}

/// Refuses a call without the API key, or with more than it.
pub fn wrong_key(asked: &Asked, key: &str) -> Option<Response> {
    if asked.header("authorization").is_some() {
        return Some(invalid("API key and Authorization header together"));
    }
    match asked.header("x-goog-api-key") {
        Some(given) if given == key => None,
        Some(_) => Some(error(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            &json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]),
        )),
        None => Some(error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers", &json!([]))),
    }
}

/// Refuses a call without the token that [`token`] gave.
pub fn wrong_token(asked: &Asked) -> Option<Response> {
    let good = asked.bearer() == Some(TOKEN) && asked.header("x-goog-api-key").is_none();
    (!good).then(|| error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials", &json!([])))
}

/// `POST /token`: a token for a JWT that the account's key has signed.
pub fn token(asked: &Asked) -> Response {
    match assertion(asked) {
        Ok(()) => answer(200, json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})),
        Err(problem) => answer(400, json!({"error": "invalid_grant", "error_description": problem})),
    }
}

fn assertion(asked: &Asked) -> Result<(), &'static str> {
    if asked.header("content-type") != Some("application/x-www-form-urlencoded") {
        return Err("content type");
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&asked.body).into_owned().collect();
    let [(grant, kind), (name, jwt)] = form.as_slice() else { return Err("fields") };
    if (grant.as_str(), kind.as_str()) != ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        || name != "assertion"
    {
        return Err("grant type");
    }
    let account = fixture("google/service-account.json");
    let key = PrivatePkcs8KeyDer::from_pem_slice(account["private_key"].as_str().unwrap().as_bytes()).unwrap();
    let key = rsa::KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let (signed, signature) = jwt.rsplit_once('.').ok_or("no JWT")?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "no base64")?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "signature")?;
    let (header, claims) = signed.split_once('.').ok_or("no JWT")?;
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    if read(header) != json!({"alg": "RS256", "typ": "JWT", "kid": account["private_key_id"]}) {
        return Err("header");
    }
    let claims = read(claims);
    let (issued, ends) = (claims["iat"].as_i64().ok_or("iat")?, claims["exp"].as_i64().ok_or("exp")?);
    let right = claims["iss"] == account["client_email"]
        && claims["aud"] == account["token_uri"]
        && claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        && ends > issued
        && ends <= issued + 3600;
    if right { Ok(()) } else { Err("claims") }
}
