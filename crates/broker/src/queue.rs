//! A queue: its messages and the consumers that wait for them.

use std::collections::VecDeque;

use mistakes::{Mistake, is_planted};

use crate::consumer::ConsumerId;
use crate::message::{Slot, Strand};
use crate::number_map::NumberMap;
use crate::output::Output;
use crate::place::Home;
use crate::record::{QueueDefinition, Target};
use crate::task::TaskQueue;
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
    /// Why it hands nothing out any more, if so: see `halt.rs`.
    pub(crate) halted: Option<Box<str>>,
    /// Its messages are tasks.
    pub(crate) tasks: Option<Box<TaskQueue>>,
}

/// The queues of a vhost, by number.
pub(crate) type Queues = NumberMap<QueueNumber, Queue>;

impl Queue {
    /// A queue without messages. Arguments that make no sense were refused when it was declared.
    pub(crate) fn new(definition: QueueDefinition, exclusive_owner: Option<ConnectionId>) -> Self {
        let tasks = TaskQueue::from_arguments(&definition.name, &definition.arguments).unwrap_or_default();
        let tasks = tasks.map(Box::new);
        Self {
            definition,
            exclusive_owner,
            strand: Strand::default(),
            consumers: Vec::new(),
            turns: VecDeque::new(),
            exclusive_consumer: false,
            halted: None,
            tasks,
        }
    }

    /// True when another connection than `connection` owns it.
    pub(crate) fn is_locked_for(&self, connection: ConnectionId) -> bool {
        self.exclusive_owner.is_some_and(|owner| owner != connection)
    }

    /// What names the message that comes next.
    pub(crate) fn next_target(&self) -> Target {
        Target { queue: self.definition.number, sequence: self.strand.next_sequence() }
    }

    /// Somebody waits to lease its tasks.
    pub(crate) fn has_pulls(&self) -> bool {
        self.tasks.as_ref().is_some_and(|tasks| !tasks.pulls.is_empty())
    }

    /// Some of its tasks are not done, be they ready or not.
    pub(crate) fn has_unfinished_tasks(&self) -> bool {
        self.tasks.as_ref().is_some_and(|tasks| tasks.counts.unfinished > 0)
    }

    /// Appends a message.
    pub(crate) fn enqueue(&mut self, sequence: u64, slot: Slot) {
        self.strand.push(sequence, slot);
    }

    /// Returns a held message to its place.
    pub(crate) fn requeue(&mut self, sequence: u64) {
        if is_planted(Mistake::RequeueToTail)
            && let Some(slot) = self.strand.settle(sequence)
        {
            return self.enqueue(self.strand.next_sequence(), slot);
        }
        self.strand.requeue(sequence);
    }

    /// Removes a message for good. What is journaled joins `ranges`, which ascend, for the record to come; the block
    /// of what is not journaled is released.
    pub(crate) fn settle(&mut self, sequence: u64, ranges: &mut Vec<(u64, u64)>, out: &mut Output) {
        let Some(slot) = self.strand.settle(sequence) else { return };
        match (slot.place.home(), ranges.last_mut()) {
            (Home::Volatile(_), _) => out.volatile.released.push(slot.place),
            (Home::Entry(_), _) if !self.is_durable() => {}
            (Home::Entry(_), Some((first, length))) if *first + *length == sequence => *length += 1,
            (Home::Entry(_), _) => ranges.push((sequence, 1)),
        }
    }

    /// What is journaled of it survives: false for transient and exclusive queues.
    pub(crate) fn is_durable(&self) -> bool {
        self.definition.durable
    }
}
