//! The token that an access and a secret key make: a JWT, used again until shortly before it ends.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    domain::{Fault, Timestamp, fault::Kind},
    providers::Cx,
};

const LIFE_SECONDS: i64 = 1800;
/// How long before its end a token is no longer used.
const MARGIN_SECONDS: i64 = 120;
const CACHED: &str = "token";

/// A token that is good for a while yet.
pub(super) fn get(cx: &Cx) -> Result<String, Fault> {
    let now = cx.now();
    if let Some(Value::String(token)) = cx.cache.get(CACHED, now) {
        return Ok(token);
    }
    let token = sign(cx.secret("KLING_ACCESS_KEY")?, cx.secret("KLING_SECRET_KEY")?, now)?;
    cx.cache.put(CACHED, token.clone().into(), now + TimeDelta::seconds(LIFE_SECONDS - MARGIN_SECONDS));
    Ok(token)
}

/// Drops the token in use, after the service called it too young or too old.
pub(super) fn forget(cx: &Cx) {
    cx.cache.put(CACHED, Value::Null, cx.now());
}

fn sign(access_key: &str, secret_key: &str, now: Timestamp) -> Result<String, Fault> {
    let now = now.timestamp();
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let claims = json!({ "iss": access_key, "exp": now + LIFE_SECONDS, "nbf": now - 5 });
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes())
        .map_err(|error| Fault::refused(Kind::Account, "KLING_SECRET_KEY is no key").because(error))?;
    mac.update(text.as_bytes());
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_token_names_the_key_and_ends_in_half_an_hour() {
        let token = sign("ak", "sk", DateTime::from_timestamp(1_790_000_000, 0).unwrap()).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(claims, json!({ "iss": "ak", "exp": 1_790_001_800, "nbf": 1_789_999_995 }));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"sk").unwrap();
        mac.update(format!("{}.{}", parts[0], parts[1]).as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();
    }
}
