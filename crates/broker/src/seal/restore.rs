//! Rows become state again.

use bytes::Bytes;

use super::{ACCOUNT, BINDING, DEFINITIONS, EXCHANGE, LEVEL, PAGES, QUEUE, QUEUES, TASKS, page_row};
use crate::broker::Broker;
use crate::message::{Page, Slot};
use crate::place::Home;
use crate::queue::Queue;
use crate::record::{read_binding, read_exchange, read_queue};
use crate::task::result_in_row;
use crate::varint::Cursor;
use crate::{Lsn, QueueNumber, StoredMessage, TaskId};

/// A row that this version can't read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of table {:?} with a key of {key_bytes} bytes is malformed or of a kind that this version does not know", char::from(*table))]
pub struct BrokenRow {
    /// The first byte of its key.
    pub table: u8,
    /// Length of its key.
    pub key_bytes: usize,
}

impl Broker {
    /// Puts a row back that [`crate::Sealed::rows`] gave out. Rows come in the order of their keys, into a fresh broker; of those
    /// with the same key only the one that the last seal gave. Rows of a [`crate::TableKind`] may be left out, see
    /// [`Self::leave_tables_on_disk`].
    pub fn restore(&mut self, key: &[u8], value: Bytes) -> Result<(), BrokenRow> {
        self.restore_row(key, value).ok_or_else(|| BrokenRow::of(key))
    }

    fn restore_row(&mut self, key: &[u8], value: Bytes) -> Option<()> {
        let (table, rest) = key.split_first()?;
        let mut cursor = Cursor::new(value);
        match (*table, rest.first().copied()) {
            (ACCOUNT, None) => {
                self.boot = cursor.count()?;
                self.next_queue = cursor.count()?;
            }
            (DEFINITIONS, Some(EXCHANGE)) => {
                let definition = read_exchange(&mut cursor)?;
                let name = definition.name.clone();
                self.topology.declare(definition);
                self.topology.exchange_ledger.restored(name);
            }
            (DEFINITIONS, Some(QUEUE)) => {
                let queue = Queue::new(read_queue(&mut cursor)?, None);
                let number = queue.definition.number;
                self.apply_queue_declared(queue);
                self.queue_ledger.restored(number);
            }
            (DEFINITIONS, Some(BINDING)) => {
                let mut encoded = Cursor::new(Bytes::copy_from_slice(&rest[1..]));
                self.topology.bind(&read_binding(&mut encoded)?);
                self.topology.binding_ledger.restored(rest[1..].to_vec());
            }
            (PAGES, Some(_)) => {
                let (queue, rest) = split_u64(rest)?;
                let (first, _) = split_u64(rest.strip_prefix(&[LEVEL])?)?;
                let page = page_row::read(&mut cursor)?;
                self.queues.get_mut(&QueueNumber(queue))?.strand.restore(first, page);
            }
            (QUEUES, Some(_)) => {
                let queue = self.queues.get_mut(&QueueNumber(split_u64(rest)?.0))?;
                queue.strand.restore_counters(cursor.count()?, cursor.count()?);
            }
            (TASKS, Some(_)) => self.restore_task(&mut cursor)?,
            _ => {
                self.tables.restore(key, cursor.rest())?;
                cursor.finish();
            }
        }
        cursor.is_empty().then_some(())
    }
}

/// The entries that hold the envelopes of a row's messages, ascending. Nothing for a row that has none.
pub fn entries_in_row(key: &[u8], value: Bytes) -> Result<Vec<Lsn>, BrokenRow> {
    if key.first() != Some(&PAGES) {
        return Ok(Vec::new());
    }
    let page = read_page(value).ok_or_else(|| BrokenRow::of(key))?;
    let mut entries = page.view().entries();
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}

/// A body that a row names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyInRow {
    /// Where it lies.
    pub stored: StoredMessage,
    /// What it is.
    pub owner: BodyOwner,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOwner {
    /// A message.
    Message {
        /// Its queue.
        queue: QueueNumber,
        /// Its sequence there.
        sequence: u64,
    },
    /// The result of a task.
    Result {
        /// The task.
        task: TaskId,
    },
}

/// Where the envelopes of a row's messages lie, and the result of its task: those that lie in the journal, in the order of messages.
pub fn bodies_in_row(key: &[u8], value: Bytes) -> Result<Vec<BodyInRow>, BrokenRow> {
    bodies_of(key, value).ok_or_else(|| BrokenRow::of(key))
}

fn bodies_of(key: &[u8], value: Bytes) -> Option<Vec<BodyInRow>> {
    let mut cursor = Cursor::new(value);
    match key.first() {
        Some(&PAGES) => {
            let (queue, first) = page_of_key(key)?;
            let page = page_row::read(&mut cursor)?.view();
            let slots = page.slots();
            let living = slots.iter().enumerate().filter(|(index, _)| !page.dead.contains(*index));
            let body = |(index, slot): (usize, &Slot)| {
                let sequence = first + index as u64;
                BodyInRow { stored: slot.stored(), owner: BodyOwner::Message { queue, sequence } }
            };
            Some(living.map(body).collect())
        }
        Some(&TASKS) => {
            let (task, result) = result_in_row(&mut cursor)?;
            let result = result.filter(|result| matches!(result.place.home(), Home::Entry(_)));
            let body = |stored| BodyInRow { stored, owner: BodyOwner::Result { task } };
            Some(result.into_iter().map(body).collect())
        }
        _ => Some(Vec::new()),
    }
}

impl BrokenRow {
    pub(crate) fn of(key: &[u8]) -> Self {
        Self { table: key.first().copied().unwrap_or_default(), key_bytes: key.len() }
    }
}

/// The key of a page's row.
pub(crate) fn page_key(queue: QueueNumber, first: u64) -> Vec<u8> {
    [&[PAGES], &queue.0.to_be_bytes()[..], &[LEVEL], &first.to_be_bytes()[..]].concat()
}

/// The queue and the first sequence in the key of a page's row. Nothing for other keys.
pub(crate) fn page_of_key(key: &[u8]) -> Option<(QueueNumber, u64)> {
    let (queue, rest) = split_u64(key.strip_prefix(&[PAGES])?)?;
    let (first, rest) = split_u64(rest.strip_prefix(&[LEVEL])?)?;
    rest.is_empty().then_some((QueueNumber(queue), first))
}

/// A page out of its row; nothing if it makes no sense.
pub(crate) fn read_page(row: Bytes) -> Option<Page> {
    page_row::read(&mut Cursor::new(row))
}

pub(super) fn split_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}
