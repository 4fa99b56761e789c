//! The queue, its consumers, and what waits for a sync.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use tokio::sync::Notify;

use super::consumer::Consumer;
use super::message::Message;
use super::outbox::Outbox;
use super::pool::Pool;
use super::pressure::Pressure;
use super::segments::Segments;
use super::staged::{Stage, Staged};

/// What all connections share.
#[derive(Debug, Default)]
pub(super) struct Broker {
    state: RefCell<State>,
    /// Bytes on the way to clients.
    pub(super) pressure: Rc<Pressure>,
    /// Something waits for a sync.
    pub(super) batch_started: Notify,
}

impl Broker {
    /// The state, for work that waits for nothing.
    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

/// The one queue and all around it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The buffers of everybody.
    pub(super) pool: Pool,
    outboxes: Vec<Rc<Outbox>>,
    consumers: Vec<Consumer>,
    /// Whose turn it is.
    next_consumer: usize,
    /// Frames of messages that came while there was no consumer. With a consumer it is empty.
    backlog: Staged,
    batch: Batch,
    is_syncing: bool,
}

/// What the next sync will make durable.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// How many messages wait for it.
    pub(super) messages: u64,
    /// Their frames.
    pub(super) bytes: Segments,
}

impl State {
    /// A client has come.
    pub(super) fn add_outbox(&mut self, outbox: Rc<Outbox>) {
        self.outboxes.push(outbox);
    }

    /// A client has gone, and what was under way to it is lost.
    pub(super) fn remove_outbox(&mut self, outbox: &Rc<Outbox>) {
        self.outboxes.retain(|other| !Rc::ptr_eq(other, outbox));
        self.remove_consumers(|consumer| Rc::ptr_eq(&consumer.outbox, outbox));
    }

    /// Gives the queue a consumer, and the consumer what has waited for one.
    pub(super) fn add_consumer(&mut self, consumer: Consumer) {
        for stage in Stage::OLDEST_FIRST {
            while let Some(frames) = self.backlog.at(stage).pop() {
                Message::each(&frames).for_each(|message| consumer.deliver(&message, stage, &mut self.pool));
                self.pool.give(frames);
            }
        }
        consumer.outbox.wake();
        self.consumers.push(consumer);
    }

    /// Takes consumers away.
    pub(super) fn remove_consumers(&mut self, is_gone: impl Fn(&Consumer) -> bool) {
        self.consumers.retain(|consumer| !is_gone(consumer));
    }

    /// How many consumers the queue has.
    pub(super) fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// Drops all messages that wait for a consumer.
    pub(super) fn clear(&mut self) {
        self.backlog = Staged::default();
    }

    /// Takes a message; says what its confirm has to wait for.
    pub(super) fn publish(&mut self, message: &Message<'_>) -> Stage {
        // There is one queue and it is in order: what comes behind a message that waits for the disk waits with it.
        let stage = match message.is_persistent || self.is_syncing || self.batch.messages > 0 {
            true => Stage::Collecting,
            false => Stage::Ready,
        };
        self.batch.messages += u64::from(stage == Stage::Collecting);
        if self.next_consumer >= self.consumers.len() {
            self.next_consumer = 0;
        }
        match self.consumers.get(self.next_consumer) {
            Some(consumer) => consumer.deliver(message, stage, &mut self.pool),
            None => {
                let room = self.backlog.at(stage).room(message.frames.len(), &mut self.pool);
                room.extend_from_slice(message.frames);
            }
        }
        self.next_consumer += 1;
        stage
    }

    /// The frames of the batch, where what has to become durable is appended.
    pub(super) fn batch_bytes(&mut self) -> (&mut Segments, &mut Pool) {
        (&mut self.batch.bytes, &mut self.pool)
    }

    /// Tells consumers of deliveries that wait for nothing.
    pub(super) fn wake_consumers(&self) {
        self.consumers.iter().for_each(|consumer| consumer.outbox.wake());
    }

    /// Takes the batch to sync it; `None` when nothing waits.
    pub(super) fn begin_sync(&mut self) -> Option<Batch> {
        self.is_syncing = self.batch.messages > 0;
        if !self.is_syncing {
            return None;
        }
        self.backlog.begin_sync();
        self.outboxes.iter().for_each(|outbox| outbox.begin_sync());
        Some(std::mem::take(&mut self.batch))
    }

    /// The batch is durable: lets go what waited for it, and takes its buffers back.
    pub(super) fn end_sync(&mut self, buffers: impl Iterator<Item = Vec<u8>>) {
        buffers.for_each(|buffer| self.pool.give(buffer));
        self.backlog.end_sync(&mut self.pool);
        self.outboxes.iter().for_each(|outbox| outbox.end_sync(&mut self.pool));
    }
}
