//! Rows become state again.

use bytes::Bytes;

use super::{ACCOUNT, BINDING, DEFINITIONS, EXCHANGE, LEVEL, PAGES, QUEUE, QUEUES, TASKS, page_row};
use crate::broker::Broker;
use crate::message::Page;
use crate::queue::Queue;
use crate::record::{read_binding, read_exchange, read_queue};
use crate::varint::Cursor;
use crate::{Lsn, QueueNumber};

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

impl BrokenRow {
    pub(crate) fn of(key: &[u8]) -> Self {
        Self { table: key.first().copied().unwrap_or_default(), key_bytes: key.len() }
    }
}

/// The key of a page's row.
pub(crate) fn page_key(queue: QueueNumber, first: u64) -> Vec<u8> {
    [&[PAGES], &queue.0.to_be_bytes()[..], &[LEVEL], &first.to_be_bytes()[..]].concat()
}

/// A page out of its row; nothing if it makes no sense.
pub(crate) fn read_page(row: Bytes) -> Option<Page> {
    page_row::read(&mut Cursor::new(row))
}

pub(super) fn split_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}
