//! What a caller may still do: the allowance that admission left, and the pacing of reads.
//!
//! Generations are counted in PostgreSQL by the statement that admits them; an [`Allowance`] is what it left. Reads are
//! paced in this process alone, in a bucket of their own, so that polling never starves a submit.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::NaiveDate;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DashMapStateStore,
};

use crate::domain::{AccountId, Credits, Mode, Timestamp};

/// What an account has left in one mode, at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Generations a minute.
    pub per_minute: u32,
    /// Generations counted against the minute; drains at `per_minute` / 60 a second.
    pub minute_level: f64,
    /// Generations a day, where that is limited.
    pub daily: Option<u32>,
    /// Generations counted against the day.
    pub day_count: u32,
    /// Credits that can be spent.
    pub available: Credits,
}

impl Allowance {
    /// What is left now, when these are the counters as of an earlier moment and day.
    #[must_use]
    pub fn drained(self, minute_at: Timestamp, day: NaiveDate, now: Timestamp) -> Self {
        let elapsed = (now - minute_at).as_seconds_f64().max(0.0);
        Self {
            minute_level: (self.minute_level - elapsed * f64::from(self.per_minute) / 60.0).max(0.0),
            day_count: if day < now.date_naive() { 0 } else { self.day_count },
            ..self
        }
    }

    /// Generations that would be admitted now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and per_minute")]
    pub fn minute_remaining(&self) -> u32 {
        (f64::from(self.per_minute) - self.minute_level + 1e-6).floor().max(0.0) as u32
    }

    /// Seconds until the whole minute's allowance is back.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    pub fn minute_reset(&self) -> u64 {
        (self.minute_level * 60.0 / f64::from(self.per_minute)).ceil().max(0.0) as u64
    }

    /// Generations left today, where that is limited.
    pub fn daily_remaining(&self) -> Option<u32> {
        self.daily.map(|daily| daily.saturating_sub(self.day_count))
    }
}

/// Paces reads by account and mode. A limiter has one quota, so there is one for each number of reads a minute in use.
#[derive(Default)]
pub struct Reads(RwLock<BTreeMap<u32, Arc<Limiter>>>);

type Limiter = RateLimiter<(AccountId, Mode), DashMapStateStore<(AccountId, Mode)>, DefaultClock>;

/// Reads a minute for each generation a minute, and the least.
const READS_PER_GENERATION: u32 = 20;
const LEAST_READS: u32 = 300;

impl Reads {
    /// Counts one read; when there is no room, says how long to wait.
    pub fn take(&self, account: AccountId, mode: Mode, per_minute: u32) -> Result<(), Duration> {
        let reads = per_minute.saturating_mul(READS_PER_GENERATION).max(LEAST_READS);
        let key = (account, mode);
        self.limiter(reads).check_key(&key).map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
    }

    fn limiter(&self, reads: u32) -> Arc<Limiter> {
        if let Some(limiter) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&reads) {
            return limiter.clone();
        }
        let quota = Quota::per_minute(NonZeroU32::new(reads).unwrap_or(NonZeroU32::MIN));
        let mut limiters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        limiters.entry(reads).or_insert_with(|| Arc::new(RateLimiter::keyed(quota))).clone()
    }

    /// Forgets accounts that have not read for a while.
    pub fn prune(&self) {
        let limiters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        limiters.values().for_each(|limiter| limiter.retain_recent());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(minute_level: f64) -> Allowance {
        Allowance { per_minute: 10, minute_level, daily: Some(100), day_count: 98, available: Credits::ZERO }
    }

    #[test]
    fn the_headers_follow_from_the_level() {
        assert_eq!((allowance(0.0).minute_remaining(), allowance(0.0).minute_reset()), (10, 0));
        assert_eq!((allowance(3.0).minute_remaining(), allowance(3.0).minute_reset()), (7, 18));
        assert_eq!((allowance(9.5).minute_remaining(), allowance(10.0).minute_reset()), (0, 60));
        assert_eq!(allowance(0.0).daily_remaining(), Some(2));
    }

    #[test]
    fn a_free_account_reads_300_times_a_minute() {
        let (reads, account) = (Reads::default(), AccountId::new(1));
        for _ in 0..300 {
            reads.take(account, Mode::Test, 10).unwrap();
        }
        reads.take(account, Mode::Test, 10).unwrap_err();
        reads.take(account, Mode::Live, 10).unwrap();
    }
}
