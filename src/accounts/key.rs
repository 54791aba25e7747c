//! API keys: `dt_test_` or `dt_live_` and 32 random letters and digits.

use std::fmt;

use rand::{
    CryptoRng,
    distr::{Alphanumeric, SampleString as _},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::Mode;

/// A key, known only to the one who made it.
pub struct Key(String);

/// Letters of a key that its list entry shows: the kind and eight of the random ones.
const PREFIX: usize = "dt_test_".len() + 8;

impl Key {
    /// A new key of a mode.
    pub fn generate(mode: Mode, rng: &mut impl CryptoRng) -> Self {
        Self(format!("dt_{}_{}", mode.as_str(), Alphanumeric.sample_string(rng, 32)))
    }

    /// Its text, for its owner.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What names it in lists.
    pub fn prefix(&self) -> &str {
        &self.0[..PREFIX]
    }

    /// What is kept of it.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::derived_hash_with_manual_eq, reason = "equality is the same, only in constant time")]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of a key's text.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn a_key_tells_its_mode_and_never_prints_its_hash() {
        let key = Key::generate(Mode::Live, &mut StdRng::seed_from_u64(1));
        assert!(key.text().starts_with("dt_live_") && key.text().len() == 40, "{}", key.text());
        assert!(key.text().starts_with(key.prefix()));
        assert_eq!(format!("{:?}", key.hash()), "Hash(…)");
    }
}
