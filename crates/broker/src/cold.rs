//! State that is not in memory: what leaves, what is wanted back, and who waits for it.
//!
//! Deciding may need what is cold, and then asks for it. Applying never does: whoever replays a record has brought what it touches.

use bytes::Bytes;
use field_table::ShortString;

use crate::broker::Broker;
use crate::message::NextReady;
use crate::output::Output;
use crate::record::{Record, Target};
use crate::seal::{BrokenRow, page_key, read_page};
use crate::{QueueNumber, Timestamp};

/// State that is wanted in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// A page of a queue's messages.
    Page {
        /// The queue.
        queue: QueueNumber,
        /// The first sequence of the page.
        first: u64,
    },
}

impl Want {
    /// The key of the row that has it.
    #[must_use]
    pub fn row_key(&self) -> Vec<u8> {
        let Self::Page { queue, first } = *self;
        page_key(queue, first)
    }
}

impl Broker {
    /// Lets pages of messages leave memory until those that are left take no more than three quarters of `bytes_max`, if they take
    /// more than all of it: pages that a run has as they are. `written` is the number of the last seal that has become a run; 0 for
    /// those of earlier boots. With 0 bytes all goes that can, also what is handed out next. Costs a look at each page's seat.
    pub fn evict(&mut self, written: u64, bytes_max: u64) {
        let resident = self.page_bytes();
        if resident <= bytes_max {
            return;
        }
        let excess = resident - bytes_max / 4 * 3;
        for queue in self.queues.values_mut() {
            // What is done to a task may touch any of its queue's messages.
            if queue.is_durable() && queue.tasks.is_none() {
                let bytes = queue.strand.page_bytes();
                let share = u128::from(excess) * u128::from(bytes) / u128::from(resident);
                queue.strand.evict(written, u64::try_from(share).unwrap_or(bytes) + 1, bytes_max > 0);
            }
        }
    }

    /// Bytes of memory that pages of messages take.
    #[must_use]
    pub fn page_bytes(&self) -> u64 {
        self.queues.values().map(|queue| queue.strand.page_bytes()).sum()
    }

    /// Takes what was wanted, and goes on with those who have waited for it. An error, if the row is not the one that was wanted;
    /// then nothing has changed.
    pub fn loaded(
        &mut self,
        now: Timestamp,
        want: Want,
        row: Bytes,
        out: &mut Output,
    ) -> Result<(), BrokenRow> {
        self.install(want, row)?;
        let Want::Page { queue, .. } = want;
        self.to_dispatch.push_back(queue);
        self.dispatch(now, out);
        Ok(())
    }

    /// Takes what was wanted. An error, if the row is not the one that was wanted; then nothing has changed.
    pub fn install(&mut self, want: Want, row: Bytes) -> Result<(), BrokenRow> {
        let Want::Page { queue, first } = want;
        let Some(queue) = self.queues.get_mut(&queue) else { return Ok(()) };
        let page = read_page(row).filter(|page| queue.strand.install(first, page.clone()));
        page.map(|_| ()).ok_or_else(|| BrokenRow::of(&want.row_key()))
    }

    /// Whether the record adds messages to a page that cannot be read, so that there is no place for them.
    #[must_use]
    pub fn is_blocked_by_damage(&self, record: &Record) -> bool {
        let Record::Published { targets, .. } = record else { return false };
        let queue = |target: &Target| self.queues.get(&target.queue).filter(|queue| queue.halted.is_some());
        targets.iter().any(|target| queue(target).is_some_and(|of| of.strand.is_damaged_at(target.sequence)))
    }

    /// Whether it is there, but not in memory.
    #[must_use]
    pub fn is_cold(&self, want: Want) -> bool {
        let Want::Page { queue, first } = want;
        let queue = self.queues.get(&queue);
        queue.is_some_and(|queue| queue.strand.cold_pages_of(first, first + 1).next().is_some())
    }

    /// What has to be in memory before the record is applied.
    #[must_use]
    pub fn wants_before(&self, record: &Record) -> Vec<Want> {
        let mut wants = Vec::new();
        let mut want = |queue: QueueNumber, from: u64, below: u64| {
            let Some(of) = self.queues.get(&queue) else { return };
            wants.extend(of.strand.cold_pages_of(from, below).map(|first| Want::Page { queue, first }));
        };
        match record {
            Record::Settled { queue, ranges } => {
                ranges.iter().for_each(|(first, length)| want(*queue, *first, first.saturating_add(*length)));
            }
            // All others go whole.
            Record::Purged { queue, below, except } => {
                let stay = except.iter().copied().chain(Some(*below));
                stay.for_each(|sequence| want(*queue, sequence, sequence.saturating_add(1)));
            }
            _ => {}
        }
        wants.dedup();
        wants
    }

    /// Whether the next message of a queue is ready, but not in memory; then it is asked for.
    pub(crate) fn misses_next(&mut self, name: &ShortString, out: &mut Output) -> bool {
        let Some(number) = self.queue_names.get(name).copied() else { return false };
        let Some(queue) = self.queues.get_mut(&number) else { return false };
        let is_missed = queue.halted.is_none() && queue.strand.next_ready() == NextReady::Cold;
        if is_missed {
            queue.strand.want_pages(|first| out.wants.push(Want::Page { queue: number, first }));
        }
        is_missed
    }
}
