//! How long to wait before trying again.

use std::time::Duration;

use crate::randomness::random;

/// Waits that double, each drawn at random from its upper half, so that those who lost the same server do not all come
/// back at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

impl Backoff {
    /// Begins with 25 to 50 ms; at most it waits 2 s.
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(LONGEST);
        let shortest = longest / 2;
        let span_us = (longest - shortest).as_micros() as u64;
        shortest + Duration::from_micros(random() % (span_us + 1))
    }

    /// It worked: the next trouble begins anew.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new();
        for longest_ms in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
            let wait = backoff.next();
            let longest = Duration::from_millis(longest_ms);
            assert!(longest / 2 <= wait && wait <= longest, "{wait:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
