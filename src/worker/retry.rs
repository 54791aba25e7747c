//! When something is tried or looked at again. Pure; delays are scaled by the caller.

use std::time::Duration;

/// After so many failures in a row (from 1): 1 s, 2 s, 4 s, 8 s, 16 s, then 30 s; or as long as the upstream asked for,
/// where that is longer. `jitter` (0 to 1) adds up to a fifth.
pub fn back_off(failures: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let own = Duration::from_secs(1 << failures.saturating_sub(1).min(5)).min(Duration::from_secs(30));
    own.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0)).max(asked.unwrap_or_default())
}

/// The first look after a submit: a bit before the expected end, so that a run that takes as long as usual is seen early.
pub fn first_look(expected: Duration) -> Duration {
    expected.mul_f64(0.6).clamp(Duration::from_millis(200), Duration::from_mins(10))
}

/// The next look at a run: closer around the expected end, further apart when it drags on.
pub fn next_look(elapsed: Duration, expected: Duration) -> Duration {
    let least = expected.mul_f64(0.03).clamp(Duration::from_millis(100), Duration::from_secs(10));
    let wait = if elapsed < expected { (expected - elapsed).mul_f64(0.5) } else { (elapsed - expected).mul_f64(0.25) };
    wait.clamp(least, Duration::from_mins(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_half_a_minute_and_honours_what_was_asked() {
        let seconds = |failures| back_off(failures, None, 0.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 60].map(seconds), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(back_off(1, Some(Duration::from_secs(90)), 1.0).as_secs(), 90);
    }

    #[test]
    fn a_usual_run_is_looked_at_a_few_times_and_seen_soon_after_its_end() {
        for expected in [10, 60, 180, 600] {
            let expected = Duration::from_secs(expected);
            for share in [0.5, 0.9, 1.0, 1.1, 1.5] {
                let end = expected.mul_f64(share);
                let (mut at, mut looks) = (first_look(expected), 1);
                while at < end {
                    at += next_look(at, expected);
                    looks += 1;
                }
                assert!(looks <= 12, "{looks} looks at {expected:?} x {share}");
            }
        }
    }
}
