//! Consumers start and stop.

use field_table::ShortString;
use mistakes::{Mistake, is_planted};

use crate::broker::{Broker, Reply, Request};
use crate::command::Consume;
use crate::consumer::{Consumer, ConsumerId, Waiting};
use crate::effect::Answer;
use crate::output::Output;
use crate::session::{ReplyConsumer, session_mut};
use crate::{Refusal, SessionId, Timestamp};

impl Broker {
    pub(crate) fn consume(&mut self, request: Request, consume: Consume) -> Reply {
        let Some(session) = session_mut(&mut self.connections, request.session) else { return Ok(None) };
        let reply_tag = session.reply_consumer.as_ref().map(|reply| &reply.tag);
        if consume.reply_address.is_some() && reply_tag.is_some() {
            return Err(Refusal::ReplyConsumerExists);
        }
        if reply_tag == Some(&consume.tag) || session.consumers.contains_key(&consume.tag) {
            return Err(Refusal::ConsumerTagInUse { tag: consume.tag });
        }
        match consume.reply_address.clone() {
            Some(address) => self.consume_replies(request.session, &consume, address)?,
            None => self.consume_queue(request, &consume)?,
        }
        Ok(Some(Answer::ConsumerStarted { tag: consume.tag }))
    }

    pub(crate) fn cancel(&mut self, request: Request, tag: ShortString, out: &mut Output) -> Reply {
        if let Some(session) = session_mut(&mut self.connections, request.session) {
            if let Some(reply) = session.reply_consumer.take_if(|reply| reply.tag == tag) {
                self.replies.remove(&reply.address);
            } else if let Some(consumer) = session.consumers.remove(&tag) {
                if is_planted(Mistake::CancelGivesBack) {
                    self.give_back_early(request.session, consumer);
                }
                self.remove_consumer(request.now, consumer, out);
            }
        }
        Ok(Some(Answer::ConsumerStopped { tag }))
    }

    /// The mistake of [`Mistake::CancelGivesBack`]: others get what the session still holds.
    fn give_back_early(&mut self, session: SessionId, consumer: ConsumerId) {
        let Some(session) = session_mut(&mut self.connections, session) else { return };
        let mut deliveries = Vec::new();
        session.unacked.take_all(&mut deliveries);
        session.unacked.put_back(deliveries.iter().copied());
        for delivery in deliveries.iter().filter(|delivery| delivery.consumer == Some(consumer)) {
            let queue = self.queues.get_mut(&delivery.queue);
            queue.into_iter().for_each(|queue| queue.strand.unhold(delivery.sequence));
            self.to_dispatch.push_back(delivery.queue);
        }
    }

    /// Takes a consumer away from its queue; the last one takes an auto-delete queue with it.
    pub(crate) fn remove_consumer(&mut self, now: Timestamp, id: ConsumerId, out: &mut Output) {
        let Some(consumer) = self.consumers.swap_remove(&id) else { return };
        self.leave_line(id, &consumer);
        let Some(queue) = self.queues.get_mut(&consumer.queue) else { return };
        queue.consumers.retain(|other| *other != id);
        queue.turns.retain(|other| *other != id);
        queue.exclusive_consumer = false;
        if queue.definition.auto_delete && queue.consumers.is_empty() {
            self.remove_queue(now, consumer.queue, out);
        }
    }

    /// Takes a consumer off the list of what it waits for: a list that is only shortened when its limit opens would
    /// grow with every consumer that comes and goes meanwhile.
    pub(crate) fn leave_line(&mut self, id: ConsumerId, consumer: &Consumer) {
        let Some(connection) = self.connections.get_mut(&consumer.session.connection) else { return };
        match consumer.waiting {
            Waiting::Window => connection.stalled.retain(|other| *other != id),
            Waiting::SessionAcks => {
                if let Some(session) = connection.sessions.get_mut(&consumer.session.channel) {
                    session.stalled.retain(|other| *other != id);
                }
            }
            Waiting::OwnAcks | Waiting::Messages => {}
        }
    }

    fn consume_queue(&mut self, request: Request, consume: &Consume) -> Result<(), Refusal> {
        let number = self.usable_queue(request, &consume.queue)?;
        self.assert_not_halted(number)?;
        let Some(session) = session_mut(&mut self.connections, request.session) else { return Ok(()) };
        let queue = &mut self.queues[&number];
        if queue.exclusive_consumer || (consume.exclusive && !queue.consumers.is_empty()) {
            return Err(Refusal::InExclusiveUse { queue: consume.queue.clone() });
        }
        let id = ConsumerId(self.next_consumer);
        self.next_consumer = self.next_consumer.saturating_add(1);
        let consumer = Consumer {
            session: request.session,
            tag: consume.tag.clone(),
            queue: number,
            request: request.tag,
            no_ack: consume.no_ack,
            prefetch: session.consumer_prefetch,
            unacked: 0,
            waiting: Waiting::Messages,
        };
        session.consumers.insert(consume.tag.clone(), id);
        self.consumers.insert(id, consumer);
        queue.exclusive_consumer = consume.exclusive;
        queue.consumers.push(id);
        queue.turns.push_back(id);
        self.to_dispatch.push_back(number);
        Ok(())
    }

    fn consume_replies(
        &mut self,
        id: SessionId,
        consume: &Consume,
        address: ShortString,
    ) -> Result<(), Refusal> {
        if !consume.no_ack {
            return Err(Refusal::ReplyConsumerAcknowledges);
        }
        let Some(session) = session_mut(&mut self.connections, id) else { return Ok(()) };
        session.reply_consumer = Some(ReplyConsumer { tag: consume.tag.clone(), address: address.clone() });
        self.replies.insert(address, id);
        Ok(())
    }
}
