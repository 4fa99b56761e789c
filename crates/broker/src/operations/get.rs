//! One message is taken by hand.

use field_table::ShortString;

use crate::Refusal;
use crate::broker::{Broker, Reply, Request};
use crate::effect::{Answer, Effect, Recipient};
use crate::operations::task::Handover;
use crate::output::Output;
use crate::reply_to::is_reply_queue;
use crate::session::Session;
use crate::unacked::Delivery;

impl Broker {
    pub(crate) fn get(
        &mut self,
        request: Request,
        name: &ShortString,
        no_ack: bool,
        out: &mut Output,
    ) -> Reply {
        if is_reply_queue(name) {
            return Err(Refusal::ReplyQueueRead { queue: name.clone() });
        }
        let number = self.usable_queue(request, name)?;
        self.assert_not_halted(number)?;
        let is_task = self.queues[&number].tasks.is_some();
        let is_fresh = !is_task || self.end_overdue_tasks(request.now, number, out);
        let queue = &mut self.queues[&number];
        let Some(connection) = self.connections.get_mut(&request.session.connection) else { return Ok(None) };
        let Some(session) = connection.sessions.get_mut(&request.session.channel) else { return Ok(None) };
        if !session.has_room() {
            return Err(Refusal::TooManyUnacked { limit: Session::UNACKED_MAX as u64 });
        }
        let offered = if is_fresh { queue.strand.offer() } else { None };
        let Some(offered) = offered else {
            self.counters.get_empty += 1;
            return Ok(Some(Answer::GetEmpty));
        };
        let delivery_tag = session.next_delivery_tag();
        let message = offered.slot.stored();
        connection.unsent_bytes += u64::from(message.stored_bytes);
        let remaining = queue.strand.ready().messages;
        if no_ack && !is_task {
            self.scratch.ranges.clear();
            queue.settle(offered.sequence, &mut self.scratch.ranges, out);
            out.record_settled(number, &self.scratch.ranges);
        } else if !no_ack {
            let delivery = Delivery {
                tag: delivery_tag,
                queue: number,
                sequence: offered.sequence,
                consumer: None,
                at: request.now,
            };
            session.unacked.push(delivery);
        }
        let task = if is_task {
            let to = Handover { session: request.session, tag: delivery_tag, no_ack };
            self.hand_over_task(request.now, number, offered.sequence, to, out)
        } else {
            None
        };
        let effect = Effect::Got {
            request: request.tag,
            delivery_tag,
            redelivered: offered.redelivered,
            remaining,
            task,
            message,
        };
        self.counters.delivered(offered.redelivered);
        out.effect(Recipient::Session(request.session), message.place.durable_at(), effect);
        Ok(None)
    }
}
