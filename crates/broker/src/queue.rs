//! A queue: its messages and the consumers that wait for them.

use std::collections::VecDeque;

use crate::consumer::ConsumerId;
use crate::message::{Slot, Strand};
use crate::number_map::NumberMap;
use crate::record::QueueDefinition;
use crate::{ConnectionId, QueueNumber};

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) definition: QueueDefinition,
    /// The connection that it belongs to.
    pub(crate) exclusive_owner: Option<ConnectionId>,
    pub(crate) strand: Strand,
    /// All consumers, in the order in which they came.
    pub(crate) consumers: Vec<ConsumerId>,
    /// The consumers that take the next messages, in turn. A consumer without credit is not in it.
    pub(crate) turns: VecDeque<ConsumerId>,
    /// The only consumer is an exclusive one.
    pub(crate) exclusive_consumer: bool,
}

/// The queues of a vhost, by number.
pub(crate) type Queues = NumberMap<QueueNumber, Queue>;

impl Queue {
    pub(crate) fn new(definition: QueueDefinition, exclusive_owner: Option<ConnectionId>) -> Self {
        Self {
            definition,
            exclusive_owner,
            strand: Strand::default(),
            consumers: Vec::new(),
            turns: VecDeque::new(),
            exclusive_consumer: false,
        }
    }

    /// True when another connection than `connection` owns it.
    pub(crate) fn is_locked_for(&self, connection: ConnectionId) -> bool {
        self.exclusive_owner.is_some_and(|owner| owner != connection)
    }

    /// Appends a message.
    pub(crate) fn enqueue(&mut self, sequence: u64, slot: Slot) {
        self.strand.push(sequence, slot);
    }

    /// What is journaled of it survives: false for transient and exclusive queues.
    pub(crate) fn is_durable(&self) -> bool {
        self.definition.durable
    }
}
