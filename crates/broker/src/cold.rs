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
use crate::{LeftRows, QueueNumber, Table, TableKind, Timestamp};

/// State that is wanted in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// A page of a queue's messages.
    Page {
        /// The queue.
        queue: QueueNumber,
        /// The first sequence of the page.
        first: u64,
    },
    /// A row of a table, which may not be there.
    Row {
        /// The table.
        table: TableKind,
        /// Its key in there.
        key: Vec<u8>,
    },
    /// The first rows of a range of keys.
    Range {
        /// The table.
        table: TableKind,
        /// The range begins with this key.
        from: Vec<u8>,
        /// It ends in front of this key, or with the table.
        below: Option<Vec<u8>>,
        /// So many rows are enough.
        limit: usize,
    },
}

/// What runs have of something that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The value of the one row; nothing if there is none. A page is there.
    Row(Option<Bytes>),
    /// Rows of a range, in the order of their keys.
    Range {
        /// Keys as the table has them, and values.
        rows: Vec<(Vec<u8>, Bytes)>,
        /// These are all that are in front of this key, which is in the range and not its first; nothing: all of the range.
        up_to: Option<Vec<u8>>,
    },
}

impl Found {
    /// The value of the one row that was wanted, if there is one.
    pub(crate) fn row(self) -> Option<Bytes> {
        match self {
            Self::Row(row) => row,
            Self::Range { .. } => None,
        }
    }
}

impl Want {
    /// The key that runs have for it: of its row, or of where its range begins.
    #[must_use]
    pub fn row_key(&self) -> Vec<u8> {
        match self {
            Self::Page { queue, first } => page_key(*queue, *first),
            Self::Row { table, key } | Self::Range { table, from: key, .. } => table.row_key(key),
        }
    }
}

impl Broker {
    /// Lets pages of messages leave memory until those that are left take no more than three quarters of `bytes_max`, if they take
    /// more than all of it: pages that a run has as they are. `written` is the number of the last seal that has become a run; 0 for
    /// those of earlier boots. With 0 bytes all goes that can, also what is handed out next. Rows of tables go likewise. Costs a look at
    /// each page's seat.
    pub fn evict(&mut self, written: u64, bytes_max: u64) {
        // Once: to count them is to look at each page.
        let page_bytes: Vec<u64> = self.page_bytes().collect();
        let resident = page_bytes.iter().sum::<u64>() + self.table_bytes();
        if resident <= bytes_max {
            return;
        }
        let excess = excess(resident, bytes_max);
        for table in self.tables.iter_mut().filter(|table| table.bytes() > 0) {
            table.evict(share(excess, table.bytes(), resident));
        }
        for (queue, bytes) in self.queues.values_mut().zip(page_bytes) {
            // What is done to a task may touch any of its queue's messages.
            if queue.is_durable() && queue.tasks.is_none() {
                queue.strand.evict(written, share(excess, bytes, resident), bytes_max > 0);
            }
        }
    }

    /// Bytes of memory that pages of messages and rows of tables take.
    #[must_use]
    pub fn state_bytes(&self) -> u64 {
        self.page_bytes().sum::<u64>() + self.table_bytes()
    }

    /// Of each queue.
    fn page_bytes(&self) -> impl Iterator<Item = u64> + '_ {
        self.queues.values().map(|queue| queue.strand.page_bytes())
    }

    fn table_bytes(&self) -> u64 {
        self.tables.iter().map(Table::bytes).sum()
    }

    /// Lets answers that tables were given leave memory until those that are left take no more than three quarters of `bytes_max`, if they
    /// take more than all of it. To be called before others come and not between them, so that who waits for several finds them.
    pub fn evict_answers(&mut self, bytes_max: u64) {
        let resident: u64 = self.tables.iter().map(Table::answer_bytes).sum();
        if resident <= bytes_max {
            return;
        }
        let excess = excess(resident, bytes_max);
        for table in self.tables.iter_mut().filter(|table| table.answer_bytes() > 0) {
            table.evict_answers(share(excess, table.answer_bytes(), resident));
        }
    }

    /// Runs have all that was given out by the seals up to this one.
    pub fn written(&mut self, seal: u64) {
        self.tables.iter_mut().for_each(|table| table.written(seal));
    }

    /// What has left memory but for its bytes. To be taken after each call of [`Self::written`] and [`Self::evict`].
    pub fn take_left(&mut self) -> LeftRows {
        let mut left = LeftRows::default();
        self.tables.iter_mut().for_each(|table| left.append(table.take_left()));
        left
    }

    /// Runs have rows of tables that were not [`Self::restore`]d: they are asked for when they are wanted.
    pub fn leave_tables_on_disk(&mut self) {
        self.tables.iter_mut().for_each(Table::leave_on_disk);
    }

    /// A table, for whoever decides or applies what it is about.
    pub fn table(&mut self, kind: TableKind) -> &mut Table {
        self.tables.get_mut(kind)
    }

    /// Takes what was wanted, and goes on with those who have waited for it. `version` is the number of the last seal that is in the runs
    /// that were read; 0 if they are all of earlier boots. An error, if it is not what was wanted; then nothing has changed.
    pub fn loaded(
        &mut self,
        now: Timestamp,
        want: &Want,
        version: u64,
        found: Found,
        out: &mut Output,
    ) -> Result<(), BrokenRow> {
        let is_taken = match (want, found) {
            (Want::Page { queue, .. }, Found::Row(Some(row))) => {
                self.install(want, row)?;
                self.to_dispatch.push_back(*queue);
                self.dispatch(now, out);
                true
            }
            (Want::Page { .. }, _) => false,
            (Want::Row { table, .. } | Want::Range { table, .. }, found) => {
                self.tables.get_mut(*table).loaded(want, version, found, &mut out.wants)
            }
        };
        if is_taken { Ok(()) } else { Err(BrokenRow::of(&want.row_key())) }
    }

    /// Takes a page that was wanted. An error, if the row is not the one that was wanted; then nothing has changed.
    pub fn install(&mut self, want: &Want, row: Bytes) -> Result<(), BrokenRow> {
        let Want::Page { queue, first } = want else { return Err(BrokenRow::of(&want.row_key())) };
        let Some(queue) = self.queues.get_mut(queue) else { return Ok(()) };
        match read_page(row).is_some_and(|page| queue.strand.install(*first, page)) {
            true => Ok(()),
            false => Err(BrokenRow::of(&want.row_key())),
        }
    }

    /// Whether the record adds messages to a page that cannot be read, so that there is no place for them.
    #[must_use]
    pub fn is_blocked_by_damage(&self, record: &Record) -> bool {
        let Record::Published { targets, .. } = record else { return false };
        let queue = |target: &Target| self.queues.get(&target.queue).filter(|queue| queue.halted.is_some());
        targets.iter().any(|target| queue(target).is_some_and(|of| of.strand.is_damaged_at(target.sequence)))
    }

    /// Whether it is not in memory, and there is still somebody to give it to.
    #[must_use]
    pub fn is_cold(&self, want: &Want) -> bool {
        match want {
            Want::Page { queue, first } => {
                let queue = self.queues.get(queue);
                queue.is_some_and(|queue| queue.strand.cold_pages_of(*first, first + 1).next().is_some())
            }
            Want::Row { table, .. } | Want::Range { table, .. } => self.tables.get(*table).is_wanted(want),
        }
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

/// What has to go so that three quarters of the budget are left.
fn excess(resident: u64, bytes_max: u64) -> u64 {
    resident - bytes_max / 4 * 3
}

/// What one of many has to let go, by what it takes of what all take; never nothing.
fn share(excess: u64, bytes: u64, resident: u64) -> u64 {
    let share = u128::from(excess) * u128::from(bytes) / u128::from(resident);
    u64::try_from(share).unwrap_or(bytes).saturating_add(1)
}
