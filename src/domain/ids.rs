//! Names and numbers that identify things.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A generation: `gen_` and a time-ordered uuid in 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct GenerationId(Uuid);

impl GenerationId {
    /// A new id, later than every id this process made before.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id behind the text form.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for GenerationId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gen_{}", self.0.simple())
    }
}

/// The text is not the id of a generation.
#[derive(Debug, thiserror::Error)]
#[error("a generation id is gen_ and 32 hex digits")]
pub struct InvalidGenerationId;

impl FromStr for GenerationId {
    type Err = InvalidGenerationId;

    fn from_str(text: &str) -> Result<Self, InvalidGenerationId> {
        let digits = text.strip_prefix("gen_").filter(|digits| digits.len() == 32).ok_or(InvalidGenerationId)?;
        Uuid::try_parse(digits).map(Self).map_err(|_| InvalidGenerationId)
    }
}

/// An account, by its number in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct AccountId(i64);

impl AccountId {
    /// The account with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acct_{}", self.0)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// What a caller names: `kling`, `flux-ultra`.
    ProviderId
}
name! {
    /// One model of a provider: `hailuo-02`. Unique within its provider.
    ModelId
}
name! {
    /// An upstream service and its protocol: `minimax`, `fal`.
    Upstream
}
