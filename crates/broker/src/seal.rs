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
//!
//! Beside these there are the tables of `table/kind.rs`, whose rows stay on disk until they are wanted.
//!
//! A seal gives out what has changed since the one before: rows that are new or other than they were, and the keys of rows
//! that are no more. Laid over one another in their order, seals are the state.

mod page_row;
mod restore;
mod restore_over;
mod rows;
mod words;

use std::sync::Arc;

use crate::broker::Broker;
use crate::message::SealedPage;
use crate::record::{BindingDefinition, read_binding, write_exchange, write_queue};
use crate::table::{Changes as TableChanges, Table, TableKind};
use crate::task::{Task, TaskId};
use crate::varint::Cursor;
use crate::{Lsn, QueueNumber};

pub use restore::{BodyInRow, BodyOwner, BrokenRow, bodies_in_row, entries_in_row};
pub(crate) use restore::{page_key, page_of_key, read_page};
pub use rows::Row;
pub use words::describe_rows;

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

/// What has changed in the durable state since the seal before, detached from the broker: cheap to take, written down at
/// leisure.
#[derive(Debug, Default)]
pub struct Sealed {
    /// Counts the seals of a boot.
    number: u64,
    boot: u64,
    next_queue: u64,
    /// Each list is in the order of its keys; without a value where the thing is no more.
    exchanges: Changes<Vec<u8>, Vec<u8>>,
    queues: Changes<QueueNumber, Vec<u8>>,
    bindings: Changes<Vec<u8>, ()>,
    pages: Changes<(QueueNumber, u64), SealedPage>,
    counters: Changes<QueueNumber, Counters>,
    tasks: Changes<TaskId, Arc<Task>>,
    /// Rows of tables that stay on disk, in the order of their letters.
    tables: Vec<SealedTable>,
    /// Pages of queues that don't survive a restart: not written, but what they need in the journal stays.
    transient: Vec<SealedPage>,
    /// The entries that hold results of tasks.
    results: Vec<Lsn>,
}

type Changes<Key, Value> = Vec<(Key, Option<Value>)>;

/// What has changed in a table that stays on disk.
type SealedTable = (TableKind, Arc<TableChanges>);

/// What a strand keeps beside its pages.
#[derive(Clone, Copy, Debug)]
struct Counters {
    next_sequence: u64,
    maybe_delivered_below: u64,
}

impl Broker {
    /// Takes what has changed in the durable state since the last seal. Costs a look at each queue, at each page and task that
    /// has changed and at each entry with results of tasks, and copies none of them.
    pub fn seal(&mut self) -> Sealed {
        self.seals += 1;
        let mut sealed = Sealed {
            number: self.seals,
            boot: self.boot,
            next_queue: self.next_queue,
            tasks: self.tasks.seal(),
            tables: self.tables.seal(self.seals),
            ..Sealed::default()
        };
        self.seal_topology(&mut sealed);
        self.seal_queues(&mut sealed);
        let transient = self.queues.values().filter(|queue| !queue.is_durable());
        sealed.transient = transient.flat_map(|queue| queue.strand.views()).collect();
        sealed.results = self.tasks.result_entries().collect();
        sealed
    }

    /// Forgets what earlier seals gave out: the next one gives out all there is.
    pub fn forget_seals(&mut self) {
        self.topology.forget_seals();
        self.queue_ledger.forget_seals(self.queues.keys().copied());
        self.pages_gone.clear();
        self.queues.values_mut().for_each(|queue| queue.strand.forget_seals());
        self.tasks.forget_seals();
        self.tables.iter_mut().for_each(Table::forget_seals);
    }

    fn seal_topology(&mut self, sealed: &mut Sealed) {
        let (mut exchanges, mut bindings) = self.topology.take_ledgers();
        let is_kept = |name: &field_table::ShortString| {
            let exchange = self.topology.exchange(name);
            exchange.is_some_and(|exchange| exchange.definition.durable) && !name.starts_with(b"amq.")
        };
        exchanges.seal(is_kept, |name, is_kept| {
            let exchange = self.topology.exchange(name).filter(|_| is_kept);
            let row = exchange.map(|exchange| encoded(|row| write_exchange(&exchange.definition, row)));
            sealed.exchanges.push((name.as_bytes().to_vec(), row));
        });
        let is_kept = |binding: &Vec<u8>| {
            let binding = decoded_binding(binding);
            self.topology.has_binding(&binding) && self.is_durable_binding(&binding)
        };
        bindings.seal(is_kept, |binding, is_kept| {
            sealed.bindings.push((binding.clone(), is_kept.then_some(())));
        });
        self.topology.put_ledgers(exchanges, bindings);
    }

    fn seal_queues(&mut self, sealed: &mut Sealed) {
        sealed.pages.extend(std::mem::take(&mut self.pages_gone).into_iter().map(|page| (page, None)));
        for (number, queue) in &mut self.queues {
            let is_changed = queue.strand.is_changed() || self.queue_ledger.is_changed(number);
            if queue.is_durable() && is_changed {
                let strand = queue.strand.seal(self.seals);
                let pages = strand.pages.into_iter().map(|(first, page)| ((*number, first), Some(page)));
                sealed.pages.extend(pages);
                sealed.pages.extend(strand.gone.into_iter().map(|first| ((*number, first), None)));
                let counters = Counters {
                    next_sequence: queue.strand.next_sequence(),
                    maybe_delivered_below: queue.strand.maybe_delivered_below(),
                };
                sealed.counters.push((*number, Some(counters)));
            }
        }
        let queues = &self.queues;
        let is_kept = |number: &QueueNumber| queues.get(number).is_some_and(|queue| queue.is_durable());
        self.queue_ledger.seal(is_kept, |number, is_kept| {
            let row = is_kept.then(|| encoded(|row| write_queue(&queues[number].definition, row)));
            if !is_kept {
                sealed.counters.push((*number, None));
            }
            sealed.queues.push((*number, row));
        });
        sealed.pages.sort_unstable_by_key(|(page, _)| *page);
        sealed.counters.sort_unstable_by_key(|(number, _)| *number);
    }
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut row = Vec::new();
    write(&mut row);
    row
}

fn decoded_binding(encoded: &[u8]) -> BindingDefinition {
    read_binding(&mut Cursor::new(bytes::Bytes::copy_from_slice(encoded))).expect("encoded by the topology")
}
