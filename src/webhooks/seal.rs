//! Webhook secrets at rest: encrypted with `DOITONG_SECRET_KEY` where that is set, else as they are.
//!
//! AES-256-GCM under a key that HKDF-SHA256 derives from the operator's text. A sealed secret is
//! `sealed:1:<key id>:<base64 of nonce, ciphertext and tag>`; the key id, derived as well, tells a wrong key from an
//! altered row. The account is authenticated with it, so that a row moved to another account does not open. Whatever
//! does not open is an error: nothing is ever signed with garbage.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::CryptoRng;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{db, domain::AccountId};

/// What every sealed secret begins with; a plain one begins with `whsec_`.
pub(super) const SEALED: &str = "sealed:1:";
/// Shorter texts are too easily guessed.
const LEAST_CHARACTERS: usize = 32;

/// Why a secret cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key is no key.
    #[error(
        "{0} must be a random text of at least {LEAST_CHARACTERS} characters; make one with: openssl rand -base64 32"
    )]
    ShortKey(&'static str),
    /// Sealed, and no key is set.
    #[error(
        "webhook secrets in the database are encrypted: set DOITONG_SECRET_KEY to the key they were encrypted with"
    )]
    NoKey,
    /// Sealed with a key that is not set.
    #[error(
        "webhook secrets in the database are encrypted with another key ({0}) than DOITONG_SECRET_KEY: set that one, or \
         set it as DOITONG_SECRET_KEY_PREVIOUS to move to the new key"
    )]
    OtherKey(String),
    /// The key is right and the text is not.
    #[error("an encrypted webhook secret in the database was altered, or belongs to another account")]
    Altered,
    /// The database.
    #[error("webhook secrets cannot be read or kept")]
    Database(#[from] sqlx::Error),
    /// More is asked of the database than it can bear.
    #[error("webhook secrets cannot be read now")]
    Overloaded(#[from] db::Overloaded),
}

/// Seals secrets with the current key, and opens those of the current and the previous one.
#[derive(Clone, Default)]
pub struct Seal {
    current: Option<Arc<Key>>,
    previous: Option<Arc<Key>>,
}

struct Key {
    id: String,
    aead: LessSafeKey,
}

impl Seal {
    /// By the operator's keys; without any, secrets are kept as they are.
    pub fn new(current: Option<&SecretString>, previous: Option<&SecretString>) -> Result<Self, SecretError> {
        let key = |variable, text: Option<&SecretString>| text.map(|text| Key::derive(variable, text)).transpose();
        Ok(Self {
            current: key("DOITONG_SECRET_KEY", current)?,
            previous: key("DOITONG_SECRET_KEY_PREVIOUS", previous)?,
        })
    }

    /// What secrets begin with that are kept as they should be; absent: however they are.
    pub(super) fn prefix(&self) -> Option<String> {
        self.current.as_ref().map(|key| format!("{SEALED}{}:", key.id))
    }

    /// The secret as it is kept.
    pub(super) fn seal(
        &self,
        account: AccountId,
        secret: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<String, SecretError> {
        let (Some(key), Some(prefix)) = (&self.current, self.prefix()) else { return Ok(secret.to_owned()) };
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut text = secret.as_bytes().to_vec();
        let sealed = key.aead.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context(&prefix, account)),
            &mut text,
        );
        sealed.map_err(|_| SecretError::Altered)?;
        Ok(format!("{prefix}{}", STANDARD.encode([&nonce[..], &text].concat())))
    }

    /// The secret behind what is kept.
    pub(super) fn open(&self, account: AccountId, kept: &str) -> Result<String, SecretError> {
        let Some(rest) = kept.strip_prefix(SEALED) else { return Ok(kept.to_owned()) };
        let (id, text) = rest.split_once(':').ok_or(SecretError::Altered)?;
        let mut keys = [&self.current, &self.previous].into_iter().flatten();
        let Some(key) = keys.find(|key| key.id == id) else {
            let any = self.current.is_some() || self.previous.is_some();
            return Err(if any { SecretError::OtherKey(id.to_owned()) } else { SecretError::NoKey });
        };
        let altered = |_| SecretError::Altered;
        let mut text = STANDARD.decode(text).map_err(|_| SecretError::Altered)?;
        let (nonce, text) = text.split_at_mut_checked(NONCE_LEN).ok_or(SecretError::Altered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(altered)?;
        let context = context(&format!("{SEALED}{id}:"), account);
        let secret = key.aead.open_in_place(nonce, Aad::from(context), text).map_err(altered)?;
        String::from_utf8(secret.to_vec()).map_err(|_| SecretError::Altered)
    }
}

/// What is authenticated beside the secret.
fn context(prefix: &str, account: AccountId) -> Vec<u8> {
    format!("{prefix}{}", account.get()).into_bytes()
}

/// How long a key's id is, in bytes.
struct IdLength;

impl KeyType for IdLength {
    fn len(&self) -> usize {
        4
    }
}

impl Key {
    fn derive(variable: &'static str, text: &SecretString) -> Result<Arc<Self>, SecretError> {
        let text = text.expose_secret().trim();
        if text.chars().count() < LEAST_CHARACTERS {
            return Err(SecretError::ShortKey(variable));
        }
        let root = Salt::new(HKDF_SHA256, b"doitong").extract(text.as_bytes());
        let unusable = |_| SecretError::ShortKey(variable);
        let aead = UnboundKey::from(root.expand(&[b"webhook secrets"], &AES_256_GCM).map_err(unusable)?);
        let mut id = [0; 4];
        root.expand(&[b"key id"], IdLength).and_then(|okm| okm.fill(&mut id)).map_err(unusable)?;
        Ok(Arc::new(Self { id: hex::encode(id), aead: LessSafeKey::new(aead) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    const ONE: &str = "correct horse battery staple, 1st";
    const TWO: &str = "correct horse battery staple, 2nd";
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ACCOUNT: AccountId = AccountId::new(7);

    fn seal(current: Option<&str>, previous: Option<&str>) -> Seal {
        let (current, previous) = (current.map(SecretString::from), previous.map(SecretString::from));
        Seal::new(current.as_ref(), previous.as_ref()).unwrap()
    }

    fn sealed(by: &Seal, seed: u64) -> String {
        by.seal(ACCOUNT, SECRET, &mut StdRng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn without_a_key_secrets_are_kept_as_they_are() {
        assert_eq!(sealed(&Seal::default(), 1), SECRET);
        assert_eq!(Seal::default().open(ACCOUNT, SECRET).unwrap(), SECRET);
    }

    #[test]
    fn a_sealed_secret_says_nothing_and_opens_with_its_key_only() {
        let one = seal(Some(ONE), None);
        let kept = sealed(&one, 1);
        assert!(kept.starts_with(&one.prefix().unwrap()) && !kept.contains(&SECRET[6..12]), "{kept}");
        assert_ne!(kept, sealed(&one, 2), "each with a nonce of its own");
        assert_eq!(one.open(ACCOUNT, &kept).unwrap(), SECRET);
        assert_eq!(seal(Some(TWO), Some(ONE)).open(ACCOUNT, &kept).unwrap(), SECRET);
        assert!(matches!(seal(Some(TWO), None).open(ACCOUNT, &kept), Err(SecretError::OtherKey(_))));
        assert!(matches!(Seal::default().open(ACCOUNT, &kept), Err(SecretError::NoKey)));
    }

    #[test]
    fn a_plain_secret_is_read_whether_there_is_a_key_or_not() {
        assert_eq!(seal(Some(ONE), None).open(ACCOUNT, SECRET).unwrap(), SECRET);
    }

    #[test]
    fn a_row_that_was_moved_to_another_account_does_not_open() {
        let one = seal(Some(ONE), None);
        assert!(matches!(one.open(AccountId::new(8), &sealed(&one, 1)), Err(SecretError::Altered)));
    }

    #[test]
    fn a_short_key_is_refused_by_name() {
        for text in ["short", "0123456789012345678901234567890", "                  0123456789                  "] {
            let text = SecretString::from(text);
            let said = Seal::new(None, Some(&text)).err().unwrap().to_string();
            assert!(said.starts_with("DOITONG_SECRET_KEY_PREVIOUS must be"), "{said}");
            assert!(Seal::new(Some(&text), None).is_err());
        }
    }

    proptest! {
        #[test]
        fn an_altered_text_is_an_error_and_never_another_secret(at in 0..200_usize, by in 1..=127_u8, cut in 0..200_usize) {
            let one = seal(Some(ONE), None);
            let kept = sealed(&one, 1);
            let from = one.prefix().unwrap().len();
            let mut bytes = kept.clone().into_bytes();
            let at = from + at % (bytes.len() - from);
            bytes[at] = (bytes[at] ^ by) & 0x7f;
            let altered = String::from_utf8(bytes).unwrap();
            prop_assert!(altered == kept || one.open(ACCOUNT, &altered).is_err());
            prop_assert!(one.open(ACCOUNT, &kept[..from + cut % (kept.len() - from)]).is_err());
        }
    }
}
