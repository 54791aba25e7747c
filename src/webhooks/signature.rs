//! Signatures as Standard Webhooks 1.0 has them, which stock verifiers accept. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::CryptoRng;
use sha2::Sha256;

use crate::domain::Timestamp;

const PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;

/// A text that is no webhook secret: `whsec_` and base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook secret")]
pub struct BadSecret;

/// A new secret, as its receiver configures it.
pub fn new_secret(random: &mut impl CryptoRng) -> String {
    let mut key = [0; SECRET_BYTES];
    random.fill_bytes(&mut key);
    format!("{PREFIX}{}", STANDARD.encode(key))
}

/// The signature of one secret: `v1,` and the HMAC-SHA256 of id, time and body in base64. The header
/// `webhook-signature` takes those of all live secrets, parted by spaces.
pub fn sign(secret: &str, id: &str, timestamp: Timestamp, body: &[u8]) -> Result<String, BadSecret> {
    let key = secret.strip_prefix(PREFIX).and_then(|key| STANDARD.decode(key).ok()).filter(|key| !key.is_empty());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.ok_or(BadSecret)?).map_err(|_| BadSecret)?;
    mac.update(format!("{id}.{}.", timestamp.timestamp()).as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn signed(secret: &str, id: &str, at: i64, body: &str) -> Result<String, BadSecret> {
        sign(secret, id, DateTime::from_timestamp(at, 0).unwrap(), body.as_bytes())
    }

    /// The vector in the test suites of the reference libraries.
    #[test]
    fn the_published_vector_comes_out() {
        let signature = signed(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_part_counts() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let base = signed(secret, "a", 1, "{}").unwrap();
        let others = [
            signed(secret, "b", 1, "{}"),
            signed(secret, "a", 2, "{}"),
            signed(secret, "a", 1, "{ }"),
            signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", "a", 1, "{}"),
        ];
        assert!(others.into_iter().all(|other| other.unwrap() != base));
    }

    #[test]
    fn new_secrets_sign_and_differ() {
        let mut random = StdRng::seed_from_u64(7);
        let (one, two) = (new_secret(&mut random), new_secret(&mut random));
        assert_ne!(one, two);
        assert!(signed(&one, "a", 1, "{}").is_ok());
        assert_eq!(STANDARD.decode(&one["whsec_".len()..]).unwrap().len(), SECRET_BYTES);
    }

    #[test]
    fn other_texts_are_no_secrets() {
        for text in ["", "whsec_", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8G="] {
            assert_eq!(signed(text, "a", 1, "{}"), Err(BadSecret), "{text:?}");
        }
    }
}
