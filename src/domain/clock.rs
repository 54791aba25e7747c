//! The one place that reads the system clock.

use std::{
    sync::{Arc, atomic::AtomicI64, atomic::Ordering},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

/// A moment, in UTC.
pub type Timestamp = DateTime<Utc>;

/// Tells the time. Tests wind theirs by hand; the offset is zero everywhere else.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The present moment, in whole microseconds as PostgreSQL keeps them.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        let now = Utc::now() + TimeDelta::milliseconds(self.offset_ms.load(Ordering::Relaxed));
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// Moves this clock (and its clones) forward.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Moves this clock (and its clones) back, as when an operator or a time server sets it right.
    pub fn set_back(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_sub(ms, Ordering::Relaxed);
    }
}
