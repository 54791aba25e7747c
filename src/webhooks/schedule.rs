//! When a delivery is tried again.

use std::time::Duration;

/// After the first attempt and after each further one: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
const DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// How long to wait after so many attempts (at least one), with up to a tenth more by `jitter` (0 to 1), so that many
/// deliveries to one receiver spread out. `None`: it is given up.
pub fn delay(attempts: u32, jitter: f64) -> Option<Duration> {
    let delay = DELAYS.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
    Some(delay.mul_f64(1.0 + 0.1 * jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_are_made_over_about_three_days() {
        assert_eq!(delay(1, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(delay(2, 1.0), Some(Duration::from_secs(330)));
        assert_eq!(delay(9, 0.0), Some(Duration::from_hours(24)));
        assert_eq!(delay(10, 0.0), None);
    }
}
