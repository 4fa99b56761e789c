//! Letting others have the processor.

use std::thread;
use std::time::Instant;

/// For work that takes a while and is in no hurry: lets others have the processor between its steps. Whoever is not asked to keeps
/// it until its time slice is over, some milliseconds, while others wait who have become ready, whatever the priorities.
///
/// Where the processor is wanted all the time, the work gets on all the same: of the time that others had in its place, it has a
/// part for itself before it gives way again.
#[derive(Clone, Copy, Debug)]
pub struct GivingWay {
    next: Instant,
}

/// The part is one in so many.
const OWN_SHARE: u32 = 4;

impl GivingWay {
    /// Gives way from the first step on.
    pub fn new() -> GivingWay {
        GivingWay { next: Instant::now() }
    }

    /// To be called after each step: every 50 us, or so. Costs a look at the clock, and a system call.
    pub fn step(&mut self) {
        let since = Instant::now();
        if since >= self.next {
            thread::yield_now();
            let now = Instant::now();
            self.next = now + (now - since) / OWN_SHARE;
        }
    }
}

impl Default for GivingWay {
    fn default() -> GivingWay {
        GivingWay::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_has_waited_for_others_goes_on_for_a_part_of_that() {
        let mut way = GivingWay { next: Instant::now() + Duration::from_secs(3600) };
        let next = way.next;
        way.step();
        assert_eq!(way.next, next, "not yet");
        let mut way = GivingWay::new();
        let before = Instant::now();
        way.step();
        assert!(way.next >= before && way.next - before <= before.elapsed() * 2);
    }
}
