//! Recognises the caller who waits alone.

use broker::ConnectionId;

/// Watches who waits for the entries, to tell a lone caller from a crowd.
///
/// A lone caller sends one small thing, waits for the answer, and sends the next: nobody will join its entry, so it may
/// as well commit it on its own thread. In a crowd that would be wrong: while one thread syncs, others should
/// gather in the next entry. So only a caller that has been alone for several entries counts, and two that take
/// turns are a crowd.
#[derive(Debug, Default)]
pub(crate) struct Lone {
    /// Who waits for the open entry.
    waiting: Option<ConnectionId>,
    /// More than one batch, or more than one connection, waits for the open entry.
    crowded: bool,
    last: Option<ConnectionId>,
    streak: u32,
}

impl Lone {
    /// Entries that a caller has to be alone in before it counts as lone.
    const STREAK_MIN: u32 = 4;
    /// A lone caller's entry is no larger than this.
    const ENTRY_BYTES_MAX: usize = 16 * 1024;

    /// Notes that a batch of this connection waits for the open entry.
    pub(crate) fn wanted_by(&mut self, connection: ConnectionId) {
        self.crowded |= self.waiting.is_some();
        self.waiting = Some(connection);
    }

    /// Closes the open entry. True if the one who waits for it is alone, and has been for a while.
    pub(crate) fn close_entry(&mut self, bytes: usize) -> bool {
        let waiting = self.waiting.take();
        let crowded = std::mem::take(&mut self.crowded) || bytes > Self::ENTRY_BYTES_MAX;
        if waiting.is_none() && !crowded {
            // Nobody waited: acks that were due. That says nothing of who comes next.
            return false;
        }
        self.streak = if !crowded && waiting == self.last { self.streak + 1 } else { 0 };
        self.last = waiting;
        self.streak >= Self::STREAK_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(lone: &mut Lone, waiting: &[u64], bytes: usize) -> bool {
        waiting.iter().for_each(|connection| lone.wanted_by(ConnectionId(*connection)));
        lone.close_entry(bytes)
    }

    #[test]
    fn one_that_waits_again_and_again_is_alone() {
        let mut lone = Lone::default();
        assert!(!(0..4).any(|_| entry(&mut lone, &[1], 100)));
        assert!(entry(&mut lone, &[1], 100));
        assert!(!entry(&mut lone, &[], 100), "nobody waits for this one");
        assert!(entry(&mut lone, &[1], 100), "and it changed nothing");
    }

    #[test]
    fn a_crowd_or_a_large_entry_ends_it() {
        for (waiting, bytes) in [(vec![2], 100), (vec![1, 1], 100), (vec![1, 2], 100), (vec![1], 100_000)] {
            let mut lone = Lone::default();
            (0..5).for_each(|_| {
                entry(&mut lone, &[1], 100);
            });
            assert!(!entry(&mut lone, &waiting, bytes), "{waiting:?} {bytes}");
            assert!(!entry(&mut lone, &[1], 100));
        }
    }
}
