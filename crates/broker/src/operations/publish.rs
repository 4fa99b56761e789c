//! A message is published.

use mistakes::{Mistake, is_planted};

use crate::broker::{Broker, Reply, Request};
use crate::command::Publish;
use crate::effect::{Effect, Recipient};
use crate::message::Slot;
use crate::operations::task::Origin;
use crate::output::Output;
use crate::queue::Queue;
use crate::record::Target;
use crate::reply_to::{UNSENT_REPLY_BYTES_MAX, is_reply_address};
use crate::routing::Routed;
use crate::session::{Mode, session_mut};
use crate::task::{LeaseId, TaskOptions};
use crate::{Lsn, Place, QueueNumber, Refusal, Resource, SessionId, Timestamp};

/// What became of a publish.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The position after which it is safe.
    pub(crate) safe_after: Lsn,
    /// Why it was not taken, or not by all queues: the first of them that is full. Boxed: it is rare and large, and publishes are neither.
    pub(crate) refusal: Option<Box<Refusal>>,
}

impl Accepted {
    /// Nothing was stored, and the refusal rests on nothing that is.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { safe_after: Lsn::NONE, refusal: Some(Box::new(refusal)) }
    }
}

impl Broker {
    pub(crate) fn publish(&mut self, request: Request, publish: Publish, out: &mut Output) -> Reply {
        self.check_exchange(publish.envelope.exchange())?;
        let Some(session) = session_mut(&mut self.connections, request.session) else { return Ok(None) };
        let sequence = match &mut session.mode {
            Mode::Transaction(_) if is_planted(Mistake::TransactionInHalves) => None,
            Mode::Transaction(open) => {
                let collected = open.publish(publish);
                return match collected {
                    Ok(()) => Ok(None),
                    Err(bound) => Err(Refusal::TransactionTooLarge { unit: bound.unit, limit: bound.limit }),
                };
            }
            Mode::Confirm { published } => {
                *published += 1;
                Some(*published)
            }
            Mode::Plain => None,
        };
        let Accepted { safe_after, refusal } = self.accept(request.now, request.session, &publish, out)?;
        let Some(sequence) = sequence else {
            if refusal.is_some_and(|refusal| refusal.is_want_of_room()) {
                self.hold_back(request.session, publish, out);
            }
            return Ok(None);
        };
        let effect = if refusal.is_some() {
            Effect::Rejected { sequence }
        } else {
            self.counters.confirmed += 1;
            Effect::Confirmed { up_to: sequence }
        };
        out.effect(Recipient::Session(request.session), safe_after, effect);
        Ok(None)
    }

    /// Routes and stores a message.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        from: SessionId,
        publish: &Publish,
        out: &mut Output,
    ) -> Result<Accepted, Refusal> {
        self.counters.published += 1;
        if publish.envelope.exchange().is_empty() {
            let key = publish.envelope.routing_key();
            if is_reply_address(key) {
                self.reply(publish, Lsn::NONE, out);
                return Ok(Accepted { safe_after: Lsn::NONE, refusal: None });
            }
            if let Some(lease) = LeaseId::of_reply_address(key) {
                return Ok(self.answer_task(now, from, lease, publish, out));
            }
        }
        let mut routed = std::mem::take(&mut self.scratch.routed);
        routed.clear();
        self.route(publish, &mut routed);
        let accepted = if routed.is_empty() {
            self.unroutable(from, publish, out);
            Ok(Accepted { safe_after: Lsn::NONE, refusal: None })
        } else {
            if self.has_task_queue(&routed) {
                self.accept_tasks(now, from, publish, &mut routed, out)
            } else if let Err(refusal) = self.take_room(from.connection, publish, &routed, out) {
                Ok(Accepted::refused(refusal))
            } else {
                self.counters.routed += 1;
                let place = self.store_message(now, publish, &routed, out);
                Ok(Accepted { safe_after: place.durable_at(), refusal: None })
            }
        };
        self.scratch.routed = routed;
        accepted
    }

    /// Whether messages become tasks in one of these queues.
    fn has_task_queue(&self, queues: &[QueueNumber]) -> bool {
        self.tasks.queues > 0 && queues.iter().any(|number| self.queues[number].tasks.is_some())
    }

    /// Whether an exchange of this name takes publishes.
    pub(crate) fn check_exchange(&self, name: &[u8]) -> Result<(), Refusal> {
        if name.is_empty() {
            return Ok(());
        }
        let owned = || name.try_into().unwrap_or_default();
        match self.topology.exchange(name) {
            None => Err(Refusal::NotFound(Resource::Exchange(owned()))),
            Some(found) if found.definition.internal => Err(Refusal::InternalExchange { exchange: owned() }),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn route(&self, publish: &Publish, queues: &mut Vec<QueueNumber>) {
        let name = publish.envelope.exchange();
        if name.is_empty() {
            queues.extend(self.queue_names.get(publish.envelope.routing_key()));
        } else if let Some(exchange) = self.topology.exchange(name) {
            let mut message = Routed::new(&publish.envelope, publish.headers.clone());
            self.topology.route(exchange, &mut message, queues);
        }
    }

    pub(crate) fn unroutable(&mut self, from: SessionId, publish: &Publish, out: &mut Output) {
        if !publish.mandatory {
            self.counters.unroutable_dropped += 1;
            return;
        }
        self.counters.unroutable_returned += 1;
        // What goes back counts as unsent, so that a client that publishes without reading stops itself.
        if let Some(connection) = self.connections.get_mut(&from.connection) {
            connection.unsent_bytes += publish.envelope.stored_bytes() as u64;
        }
        let effect = Effect::Returned { envelope: publish.envelope.detached() };
        out.effect(Recipient::Session(from), Lsn::NONE, effect);
    }

    /// Puts a message into queues, and makes tasks of it in task queues, which keep every message.
    pub(crate) fn store(
        &mut self,
        now: Timestamp,
        from: SessionId,
        publish: &Publish,
        routed: &[QueueNumber],
        options: &TaskOptions,
        out: &mut Output,
    ) {
        let of_tasks = routed.iter().map(|number| &self.queues[number]).filter(|queue| queue.tasks.is_some());
        let tasks: Vec<Target> = of_tasks.map(Queue::next_target).collect();
        let persistent = publish.persistent || !tasks.is_empty();
        self.store_message(now, &Publish { persistent, ..publish.clone() }, routed, out);
        for Target { queue, sequence } in tasks {
            let key = self.key_of_publish(now, from, options);
            let origin = Origin { expects_reply: false, key };
            self.accept_task(now, queue, sequence, options, origin, out);
        }
    }

    /// Puts a message into queues: into the journal if it and one of them survive a restart, else into memory.
    pub(crate) fn store_message(
        &mut self,
        now: Timestamp,
        publish: &Publish,
        routed: &[QueueNumber],
        out: &mut Output,
    ) -> Place {
        let mut journaled = std::mem::take(&mut self.scratch.journaled);
        journaled.clear();
        if publish.persistent {
            let durable = routed.iter().map(|number| &self.queues[number]).filter(|queue| queue.is_durable());
            journaled.extend(durable.map(Queue::next_target));
        }
        let place = if journaled.is_empty() {
            out.volatile.store(&publish.envelope, routed.len() as u32)
        } else {
            out.record_published(now, journaled.iter().copied(), &publish.envelope)
        };
        self.scratch.journaled = journaled;
        let slot = Slot {
            place,
            header_bytes: publish.envelope.stored_header_bytes() as u32,
            body_bytes: publish.envelope.body().len() as u32,
        };
        for number in routed {
            let queue = &mut self.queues[number];
            let sequence = queue.strand.next_sequence();
            queue.enqueue(sequence, slot);
            if !queue.turns.is_empty() || queue.has_pulls() {
                self.to_dispatch.push_back(*number);
            }
        }
        place
    }

    /// Hands a direct reply to the session that waits for it, when what it rests on is durable. A requester that is gone, or
    /// does not read, gets nothing, silently. Whether it gets it.
    pub(crate) fn reply(&mut self, publish: &Publish, after: Lsn, out: &mut Output) -> bool {
        let Some(&to) = self.replies.get(publish.envelope.routing_key()) else {
            self.counters.replies_dropped += 1;
            return false;
        };
        let Some(connection) = self.connections.get_mut(&to.connection) else { return false };
        if connection.unsent_bytes > UNSENT_REPLY_BYTES_MAX {
            self.counters.replies_dropped += 1;
            return false;
        }
        connection.unsent_bytes += publish.envelope.stored_bytes() as u64;
        let Some(session) = connection.sessions.get_mut(&to.channel) else { return false };
        let delivery_tag = session.next_delivery_tag();
        let Some(consumer) = &session.reply_consumer else { return false };
        self.counters.routed += 1;
        let effect = Effect::Replied {
            consumer_tag: consumer.tag.clone(),
            delivery_tag,
            envelope: publish.envelope.detached(),
        };
        out.effect(Recipient::Session(to), after, effect);
        true
    }
}
