//! A message is published.

use crate::broker::{Broker, Reply, Request};
use crate::command::Publish;
use crate::effect::{Effect, Recipient};
use crate::message::Slot;
use crate::output::Output;
use crate::record::Target;
use crate::reply_to::{UNSENT_REPLY_BYTES_MAX, is_reply_address};
use crate::routing::Routed;
use crate::session::{Mode, session_mut};
use crate::{Lsn, Place, Refusal, Resource, SessionId, Timestamp};

impl Broker {
    pub(crate) fn publish(&mut self, request: Request, publish: Publish, out: &mut Output) -> Reply {
        self.check_exchange(publish.envelope.exchange())?;
        let Some(session) = session_mut(&mut self.connections, request.session) else { return Ok(None) };
        let sequence = match &mut session.mode {
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
        let safe_after = self.accept(request.now, request.session, &publish, out);
        if let Some(up_to) = sequence {
            self.counters.confirmed += 1;
            out.effect(Recipient::Session(request.session), safe_after, Effect::Confirmed { up_to });
        }
        Ok(None)
    }

    /// Routes and stores a message. The position after which it is safe.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        from: SessionId,
        publish: &Publish,
        out: &mut Output,
    ) -> Lsn {
        self.counters.published += 1;
        if publish.envelope.exchange().is_empty() && is_reply_address(publish.envelope.routing_key()) {
            self.reply(publish, out);
            return Lsn::NONE;
        }
        let mut routed = std::mem::take(&mut self.scratch.routed);
        routed.clear();
        self.route(publish, &mut routed);
        let place = if routed.is_empty() {
            self.unroutable(from, publish, out);
            None
        } else {
            self.counters.routed += 1;
            Some(self.store(now, publish, &routed, out))
        };
        self.scratch.routed = routed;
        place.map_or(Lsn::NONE, Place::durable_at)
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

    fn route(&self, publish: &Publish, queues: &mut Vec<crate::QueueNumber>) {
        let name = publish.envelope.exchange();
        if name.is_empty() {
            queues.extend(self.queue_names.get(publish.envelope.routing_key()));
        } else if let Some(exchange) = self.topology.exchange(name) {
            let mut message = Routed::new(&publish.envelope, publish.headers.clone());
            self.topology.route(exchange, &mut message, queues);
        }
    }

    fn unroutable(&mut self, from: SessionId, publish: &Publish, out: &mut Output) {
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

    /// Puts a message into queues: into the journal if it and one of them survive a restart, else into memory.
    fn store(
        &mut self,
        now: Timestamp,
        publish: &Publish,
        routed: &[crate::QueueNumber],
        out: &mut Output,
    ) -> Place {
        let mut journaled = std::mem::take(&mut self.scratch.journaled);
        journaled.clear();
        if publish.persistent {
            let durable = routed.iter().map(|number| &self.queues[number]).filter(|queue| queue.is_durable());
            journaled.extend(durable.map(|queue| Target {
                queue: queue.definition.number,
                sequence: queue.strand.next_sequence(),
            }));
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
            if !queue.turns.is_empty() {
                self.to_dispatch.push_back(*number);
            }
        }
        place
    }

    /// Hands a direct reply to the session that waits for it. A requester that is gone gets nothing, silently.
    fn reply(&mut self, publish: &Publish, out: &mut Output) {
        let Some(&to) = self.replies.get(publish.envelope.routing_key()) else {
            self.counters.replies_dropped += 1;
            return;
        };
        let Some(connection) = self.connections.get_mut(&to.connection) else { return };
        if connection.unsent_bytes > UNSENT_REPLY_BYTES_MAX {
            self.counters.replies_dropped += 1;
            return;
        }
        connection.unsent_bytes += publish.envelope.stored_bytes() as u64;
        let Some(session) = connection.sessions.get_mut(&to.channel) else { return };
        let delivery_tag = session.next_delivery_tag();
        let Some(consumer) = &session.reply_consumer else { return };
        self.counters.routed += 1;
        let effect = Effect::Replied {
            consumer_tag: consumer.tag.clone(),
            delivery_tag,
            envelope: publish.envelope.detached(),
        };
        out.effect(Recipient::Session(to), Lsn::NONE, effect);
    }
}
