//! Amounts of money.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whole credits. One credit is US$0.001.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Credits(i64);

impl Credits {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// That many credits.
    pub const fn new(credits: i64) -> Self {
        Self(credits)
    }

    /// The number of credits.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The price in credits of an amount in micro-dollars, rounded up; never less than one credit.
    pub fn from_micro_usd(micro_usd: u64) -> Self {
        Self(i64::try_from(micro_usd.div_ceil(1_000)).unwrap_or(i64::MAX).max(1))
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
