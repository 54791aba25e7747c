//! When something is tried or looked at again. Pure; delays are scaled by the caller.

use std::time::Duration;

/// After so many failures in a row (from 1): 1 s, 2 s, 4 s, 8 s, 16 s, then 30 s; or as long as the upstream asked for,
/// where that is longer. `jitter` (0 to 1) adds up to a fifth.
pub fn back_off(failures: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let own = Duration::from_secs(1 << failures.saturating_sub(1).min(5)).min(Duration::from_secs(30));
    own.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0)).max(asked.unwrap_or_default())
}

/// The first look after a submit: half-way to the expected end.
pub fn first_look(expected: Duration, pause: Duration) -> Duration {
    next_look(Duration::ZERO, expected, pause)
}

/// The next look at a run: at half and at three quarters of the expected time, then so often that the end is seen within
/// 3 % of the run (or 2 s) of it, until a tenth after the expected end; then, as the estimate was off, within 10 %. The
/// longest wait is an hour, and one minute once the end is near. Never sooner than after `pause`, which the upstream asks
/// for.
pub fn next_look(elapsed: Duration, expected: Duration, pause: Duration) -> Duration {
    let until = |share: f64| expected.mul_f64(share).saturating_sub(elapsed);
    let least = expected.mul_f64(0.2).clamp(Duration::from_millis(50), Duration::from_secs(2));
    let (wait, most) = match elapsed.div_duration_f64(expected.max(Duration::from_millis(1))) {
        ..0.45 => (until(0.5), Duration::from_hours(1)),
        ..0.7 => (until(0.75), Duration::from_hours(1)),
        ..0.9 => (until(0.925), Duration::from_hours(1)),
        ..1.1 => (elapsed.mul_f64(0.03), Duration::from_mins(1)),
        _ => (elapsed.mul_f64(0.1), Duration::from_mins(1)),
    };
    wait.clamp(least, most).max(pause)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn back_off_grows_to_half_a_minute_and_honours_what_was_asked() {
        let seconds = |failures| back_off(failures, None, 0.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 60].map(seconds), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(back_off(1, Some(Duration::from_secs(90)), 1.0).as_secs(), 90);
    }

    /// How many looks a run takes, and how long after its end the last one is.
    fn looks(expected: Duration, end: Duration) -> (u32, Duration) {
        let (mut at, mut looks) = (first_look(expected, Duration::ZERO), 1);
        while at < end {
            at += next_look(at, expected, Duration::ZERO);
            looks += 1;
        }
        (looks, at.saturating_sub(end))
    }

    proptest! {
        #[test]
        fn an_upstream_is_not_asked_sooner_than_it_wants(expected in 0_u64..600, elapsed in 0_u64..1200, pause in 1_u64..30) {
            let [expected, elapsed, pause] = [expected, elapsed, pause].map(Duration::from_secs);
            prop_assert!(next_look(elapsed, expected, pause) >= pause);
            prop_assert!(first_look(expected, pause) >= pause);
        }

        #[test]
        fn a_usual_run_is_looked_at_a_few_times_and_seen_soon_after_its_end(seconds in 5_u64..1800, share in 0.9_f64..1.05) {
            let expected = Duration::from_secs(seconds);
            let end = expected.mul_f64(share);
            let (looks, late) = looks(expected, end);
            prop_assert!(looks <= 8, "{looks} looks at {expected:?} x {share}");
            prop_assert!(late <= end.mul_f64(0.03).max(Duration::from_secs(2)), "{late:?} late at {expected:?} x {share}");
        }

        #[test]
        fn a_run_that_drags_on_is_seen_within_a_tenth_and_a_minute(seconds in 5_u64..1800, share in 1.1_f64..10.0) {
            let expected = Duration::from_secs(seconds);
            let end = expected.mul_f64(share);
            let (_, late) = looks(expected, end);
            prop_assert!(late <= end.mul_f64(0.1).clamp(Duration::from_secs(2), Duration::from_mins(1)), "{late:?} late");
        }
    }
}
