//! When a failed attempt is repeated.

use std::time::Duration;

/// Attempts that may fail or be lost before the task fails. Snoozes and releases do not count.
pub const ATTEMPTS_MAX: u32 = 6;

const FIRST_DELAY: Duration = Duration::from_secs(15);
const DELAY_MAX: Duration = Duration::from_secs(30 * 60);

/// How long to wait before the next attempt when `attempts` have failed already (the one just ended not counted).
///
/// Doubles from 15 s to at most 30 min; the random half spreads tasks that failed together.
pub fn retry_delay(attempts: u32) -> Duration {
    delay(attempts, rand::random())
}

/// `jitter` in 0..1 chooses within the upper half of the ceiling.
fn delay(attempts: u32, jitter: f64) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(2u32.saturating_pow(attempts.min(16)));
    let ceiling = doubled.min(DELAY_MAX);
    ceiling.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let seconds: Vec<u64> = (0..10).map(|attempts| delay(attempts, 1.0).as_secs()).collect();

        assert_eq!(seconds, [15, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        assert_eq!(delay(u32::MAX, 1.0), DELAY_MAX);
    }

    #[test]
    fn jitter_stays_between_half_and_all_of_the_delay() {
        for attempts in 0..20 {
            let whole = delay(attempts, 1.0);
            let chosen = retry_delay(attempts);
            assert!(chosen >= whole / 2 && chosen <= whole, "{chosen:?} of {whole:?}");
        }
    }
}
