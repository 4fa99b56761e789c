//! The durable state as sorted rows: what a checkpoint writes and a recovery begins with.
//!
//! A row is a key and a value; the first byte of the key names the table. Integers in keys are big-endian,
//! so that rows sort as the things they name; in values they are LEB128 varints.
//!
//! | table | key | value |
//! |---|---|---|
//! | `A` | | boot, next queue number |
//! | `M` exchange | 0, name | name, kind, flags, arguments, as in its record |
//! | `M` queue | 1, queue:u64 | number, name, flags, arguments, as in its record |
//! | `M` binding | 2, binding as in its record | |
//! | `P` | queue:u64, level:u8, first sequence:u64 | a page of messages |
//! | `Q` | queue:u64 | next sequence, sequence below which deliveries are in doubt |
//! | `W` | task:16 | a task and what has become of it: `task/row.rs` |

mod page_row;

use bytes::{BufMut, Bytes};

use crate::broker::Broker;
use crate::message::SealedPage;
use crate::place::Home;
use crate::queue::Queue;
use crate::record::{
    BindingDefinition, ExchangeDefinition, QueueDefinition, read_binding, read_exchange, read_queue,
    write_binding, write_exchange, write_queue,
};
use crate::task::SealedTask;
use crate::varint::{self, Cursor};
use crate::{Lsn, QueueNumber};

const ACCOUNT: u8 = b'A';
const DEFINITIONS: u8 = b'M';
const PAGES: u8 = b'P';
const QUEUES: u8 = b'Q';
/// Work: behind the queues and pages, which a task has to find when it is put back.
const TASKS: u8 = b'W';
const EXCHANGE: u8 = 0;
const QUEUE: u8 = 1;
const BINDING: u8 = 2;
const LEVEL: u8 = 0;

/// The durable state at one position, detached from the broker: cheap to take, written down at leisure.
#[derive(Debug)]
pub struct Sealed {
    boot: u64,
    next_queue: u64,
    exchanges: Vec<ExchangeDefinition>,
    bindings: Vec<BindingDefinition>,
    queues: Vec<SealedQueue>,
    tasks: Vec<SealedTask>,
    /// Pages of queues that don't survive a restart: not written, but what they need in the journal stays.
    transient: Vec<SealedPage>,
}

#[derive(Debug)]
struct SealedQueue {
    definition: QueueDefinition,
    next_sequence: u64,
    maybe_delivered_below: u64,
    pages: Vec<(u64, SealedPage)>,
}

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
    /// Takes the durable state as it is now. Costs a look at each page, not at each message, and copies none; and the encoding
    /// of each task.
    pub fn seal(&mut self) -> Sealed {
        let mut queues = Vec::new();
        let mut transient = Vec::new();
        for queue in self.queues.values_mut() {
            let pages = queue.strand.seal();
            if queue.is_durable() {
                queues.push(SealedQueue {
                    definition: queue.definition.clone(),
                    next_sequence: queue.strand.next_sequence(),
                    maybe_delivered_below: queue.strand.maybe_delivered_below(),
                    pages,
                });
            } else {
                transient.extend(pages.into_iter().map(|(_, page)| page));
            }
        }
        queues.sort_unstable_by_key(|queue| queue.definition.number);
        let durable =
            |definition: &&ExchangeDefinition| definition.durable && !definition.name.starts_with(b"amq.");
        Sealed {
            boot: self.boot,
            next_queue: self.next_queue,
            exchanges: self.topology.exchanges().filter(durable).cloned().collect(),
            bindings: self.topology.bindings().filter(|binding| self.is_durable_binding(binding)).collect(),
            queues,
            tasks: self.tasks.iter().map(SealedTask::of).collect(),
            transient,
        }
    }

    /// Puts a row back that [`Sealed::rows`] gave out. Rows come in their order, into a fresh broker.
    pub fn restore(&mut self, key: &[u8], value: Bytes) -> Result<(), BrokenRow> {
        let broken = BrokenRow { table: key.first().copied().unwrap_or_default(), key_bytes: key.len() };
        self.restore_row(key, value).ok_or(broken)
    }

    fn restore_row(&mut self, key: &[u8], value: Bytes) -> Option<()> {
        let (table, rest) = key.split_first()?;
        let mut cursor = Cursor::new(value);
        match (*table, rest.first().copied()) {
            (ACCOUNT, None) => {
                self.boot = cursor.count()?;
                self.next_queue = cursor.count()?;
            }
            (DEFINITIONS, Some(EXCHANGE)) => self.topology.declare(read_exchange(&mut cursor)?),
            (DEFINITIONS, Some(QUEUE)) => {
                self.apply_queue_declared(Queue::new(read_queue(&mut cursor)?, None))
            }
            (DEFINITIONS, Some(BINDING)) => {
                let mut encoded = Cursor::new(Bytes::copy_from_slice(&rest[1..]));
                self.topology.bind(&read_binding(&mut encoded)?);
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
            _ => return None,
        }
        cursor.is_empty().then_some(())
    }
}

impl Sealed {
    /// Gives out all rows in the order of their keys.
    pub fn rows(&self, mut row: impl FnMut(&[u8], &[u8])) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let mut emit = |table: u8, build: &mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>)| {
            key.clear();
            value.clear();
            key.push(table);
            build(&mut key, &mut value);
            row(&key, &value);
        };
        emit(ACCOUNT, &mut |_, value| {
            varint::write(value, self.boot);
            varint::write(value, self.next_queue);
        });
        for exchange in &self.exchanges {
            emit(DEFINITIONS, &mut |key, value| {
                key.put_u8(EXCHANGE);
                key.put_slice(exchange.name.as_bytes());
                write_exchange(exchange, value);
            });
        }
        for queue in &self.queues {
            emit(DEFINITIONS, &mut |key, value| {
                key.put_u8(QUEUE);
                key.put_u64(queue.definition.number.0);
                write_queue(&queue.definition, value);
            });
        }
        self.binding_keys().iter().for_each(|encoded| {
            emit(DEFINITIONS, &mut |key, _| {
                key.put_u8(BINDING);
                key.put_slice(encoded);
            });
        });
        for queue in &self.queues {
            for (first, page) in &queue.pages {
                emit(PAGES, &mut |key, value| {
                    key.put_u64(queue.definition.number.0);
                    key.put_u8(LEVEL);
                    key.put_u64(*first);
                    page_row::write(page, value);
                });
            }
        }
        for queue in &self.queues {
            emit(QUEUES, &mut |key, value| {
                key.put_u64(queue.definition.number.0);
                varint::write(value, queue.next_sequence);
                varint::write(value, queue.maybe_delivered_below);
            });
        }
        for task in &self.tasks {
            emit(TASKS, &mut |key, value| {
                key.put_slice(&task.id.to_bytes());
                value.put_slice(&task.row);
            });
        }
    }

    /// The journal entries that hold the envelope of a living message, or the result of a task, as ascending inclusive ranges.
    #[must_use]
    pub fn live_entries(&self) -> Vec<(Lsn, Lsn)> {
        let pages = self.queues.iter().flat_map(|queue| queue.pages.iter().map(|(_, page)| page));
        let mut live: Vec<Lsn> = Vec::new();
        for page in pages.chain(&self.transient) {
            for slot in page_row::alive(page) {
                if let Home::Entry(lsn) = slot.place.home()
                    && live.last() != Some(&lsn)
                {
                    live.push(lsn);
                }
            }
        }
        live.extend(self.tasks.iter().filter_map(|task| task.result));
        live.sort_unstable();
        live.dedup();
        live.chunk_by(|one, next| one.next() == *next).map(|run| (run[0], run[run.len() - 1])).collect()
    }

    /// Pages in all, and those that changed since the seal before.
    #[must_use]
    pub fn page_counts(&self) -> (usize, usize) {
        let pages = || self.queues.iter().flat_map(|queue| &queue.pages);
        (pages().count(), pages().filter(|(_, page)| page.dirty).count())
    }

    fn binding_keys(&self) -> Vec<Vec<u8>> {
        let encode = |binding: &BindingDefinition| {
            let mut key = Vec::new();
            write_binding(binding, &mut key);
            key
        };
        let mut keys: Vec<_> = self.bindings.iter().map(encode).collect();
        keys.sort_unstable();
        keys
    }
}

fn split_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}
