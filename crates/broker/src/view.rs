//! The durable state as plain values, to be compared: live against replayed, before a crash against after it.

use bytes::Bytes;

use crate::message::Page;
use crate::place::Home;
use crate::record::{BindingDefinition, ExchangeDefinition, QueueDefinition};
use crate::seal::read_page;
use crate::task::{SealedTask, TaskId};
use crate::{Broker, Found, Place, TableKind, Want};

/// Everything that a restart has to find again, in a fixed order.
///
/// Two brokers with equal views answer alike after a restart; what is not in it (sessions, transient messages, which
/// pages are in memory) may differ.
#[derive(Clone, Debug, PartialEq)]
pub struct DurableView {
    /// Durable exchanges, the predeclared ones included, by name.
    pub exchanges: Vec<ExchangeDefinition>,
    /// Bindings between things that are durable, by source and destination.
    pub bindings: Vec<BindingDefinition>,
    /// Durable queues, by number.
    pub queues: Vec<QueueView>,
    /// Tasks, by id, as a checkpoint would keep them.
    pub tasks: Vec<(TaskId, Vec<u8>)>,
    /// Tables that have rows, with those.
    pub tables: Vec<(TableKind, TableRows)>,
}

/// Keys and values, in the order of the keys.
pub type TableRows = Vec<(Vec<u8>, Bytes)>;

/// The durable part of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueView {
    /// The queue as it was declared.
    pub definition: QueueDefinition,
    /// Living messages that are in the journal, in order: ready and held ones alike.
    pub messages: Vec<MessageView>,
}

/// A living, journaled message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// Its sequence in the queue.
    pub sequence: u64,
    /// Where its envelope lies.
    pub place: Place,
    /// Bytes of the stored envelope.
    pub stored_bytes: u32,
}

impl Broker {
    /// The durable state, all of which has to be in memory. Costs a look at every message: for tests, simulation and inspection.
    #[must_use]
    pub fn durable_view(&self) -> DurableView {
        self.durable_view_with(|want| panic!("{want:?} is not in memory")).expect("it is all there")
    }

    /// The durable state; `read` answers for what is not in memory, which stays so. Nothing if it cannot.
    #[must_use]
    pub fn durable_view_with(&self, mut read: impl FnMut(Want) -> Option<Found>) -> Option<DurableView> {
        let mut is_whole = true;
        let mut queues: Vec<QueueView> = self
            .queues
            .values()
            .filter(|queue| queue.is_durable())
            .map(|queue| QueueView {
                definition: queue.definition.clone(),
                messages: journaled(queue.strand.sequenced_with(|first| {
                    let found = read(Want::Page { queue: queue.definition.number, first });
                    let page = found.and_then(Found::row).and_then(read_page);
                    is_whole &= page.is_some();
                    page.unwrap_or_else(Page::new)
                }))
                .collect(),
            })
            .collect();
        let mut tables = Vec::new();
        for table in self.tables.iter() {
            let rows = table.rows_with(&mut read)?;
            if !rows.is_empty() {
                tables.push((table.kind(), rows));
            }
        }
        queues.sort_unstable_by_key(|queue| queue.definition.number);
        is_whole.then(|| DurableView {
            exchanges: self.topology.exchanges().filter(|exchange| exchange.durable).cloned().collect(),
            bindings: self.topology.bindings().filter(|binding| self.is_durable_binding(binding)).collect(),
            queues,
            tasks: self.tasks.iter().map(SealedTask::of).map(|task| (task.id, task.row)).collect(),
            tables,
        })
    }
}

fn journaled(slots: Vec<(u64, crate::message::Slot)>) -> impl Iterator<Item = MessageView> {
    slots.into_iter().filter(|(_, slot)| matches!(slot.place.home(), Home::Entry(_))).map(
        |(sequence, slot)| {
            let stored = slot.stored();
            MessageView { sequence, place: stored.place, stored_bytes: stored.stored_bytes }
        },
    )
}
