//! When a failed task is tried again.

use super::random::RandomStream;

/// The first retry comes within this time, in milliseconds; each further one within twice the time of the one before.
const FIRST_MS: u64 = 1000;
/// No retry waits longer, in milliseconds.
const LONGEST_MS: u64 = 3_600_000;

/// How long to wait after so many failed attempts, in milliseconds: exponential, with full jitter, so that what failed together
/// does not come back together.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog: full jitter needs the least work and time.
pub(crate) fn delay_ms(failed_attempts: u32, random: &mut RandomStream) -> u64 {
    random.up_to(longest_delay_ms(failed_attempts))
}

fn longest_delay_ms(failed_attempts: u32) -> u64 {
    FIRST_MS.saturating_mul(1 << failed_attempts.saturating_sub(1).min(32)).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::random::Seed;

    #[test]
    fn delays_double_up_to_an_hour() {
        let longest: Vec<u64> = [1, 2, 3, 12, 13, 1000].map(longest_delay_ms).to_vec();
        assert_eq!(longest, [1000, 2000, 4000, 2_048_000, 3_600_000, 3_600_000]);
        let mut random = RandomStream::new(Seed::default());
        let delays: Vec<u64> = (0..50).map(|_| delay_ms(3, &mut random)).collect();
        assert!(delays.iter().all(|delay| *delay <= 4000) && delays.iter().any(|delay| *delay > 1000));
    }
}
