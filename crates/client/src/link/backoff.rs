//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double, drawn at random so that a thousand clients of a restarted broker do not come at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// The longest wait is `first`, then twice that, and so on up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempts: 0 }
    }

    /// The next wait: between half of the current bound and all of it. The lower half is cut off, so that a broker that
    /// refuses at once is never asked in a hot loop.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.bound();
        self.attempts = self.attempts.saturating_add(1);
        bound.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Begins again with the first wait: an attempt has succeeded.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    fn bound(&self) -> Duration {
        self.first.saturating_mul(1u32 << self.attempts.min(20)).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_begin_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for bound_ms in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next_wait();
            assert!(wait <= Duration::from_millis(bound_ms), "{wait:?} of {bound_ms} ms");
            assert!(wait >= Duration::from_millis(bound_ms / 2), "{wait:?} of {bound_ms} ms");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for _ in 0..100 {
            assert!(backoff.next_wait() <= Duration::from_secs(30));
        }
    }
}
