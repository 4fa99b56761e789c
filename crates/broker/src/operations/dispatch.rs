//! Ready messages meet consumers with credit.

use crate::broker::{Broker, Resume};
use crate::cold::Want;
use crate::consumer::{Consumer, ConsumerId, Consumers, Waiting};
use crate::effect::{Effect, Recipient};
use crate::message::Offered;
use crate::output::Output;
use crate::queue::Queue;
use crate::session::{Connection, Connections, session_mut};
use crate::unacked::Delivery;
use crate::{QueueNumber, Timestamp};

impl Broker {
    /// Serves the queues that the command has touched, then the consumers whose shared limits it has opened.
    pub(crate) fn dispatch(&mut self, now: Timestamp, out: &mut Output) {
        loop {
            if let Some(number) = self.to_dispatch.pop_front() {
                self.dispatch_queue(now, number, out);
            } else if let Some(resume) = self.to_resume.front().copied() {
                if !self.resume_next(resume) {
                    self.to_resume.pop_front();
                }
            } else {
                return;
            }
        }
    }

    /// Hands ready messages out in turn until there are none or nobody has credit.
    fn dispatch_queue(&mut self, now: Timestamp, number: QueueNumber, out: &mut Output) {
        let Some(queue) = self.queues.get_mut(&number).filter(|queue| queue.halted.is_none()) else { return };
        if queue.tasks.is_some() {
            return self.dispatch_tasks(now, number, out);
        }
        self.scratch.ranges.clear();
        while queue.strand.ready().messages > 0 {
            let next = self.settings.next_consumer(queue, &mut self.consumers, &mut self.connections);
            let Some((id, consumer, connection)) = next else { break };
            let Some(offered) = queue.strand.offer() else { break };
            deliver(id, consumer, connection, number, &offered, now, out);
            self.counters.delivered(offered.redelivered);
            if consumer.no_ack {
                queue.settle(offered.sequence, &mut self.scratch.ranges, out);
            }
            if queue.turns.len() > 1 {
                queue.turns.rotate_left(1);
            }
        }
        queue.strand.want_pages(|first| out.wants.push(Want::Page { queue: number, first }));
        out.record_settled(number, &self.scratch.ranges);
    }

    /// Lets the consumer go on that has waited longest for a limit that it shares with others. False when none
    /// waits or the limit is reached.
    ///
    /// One at a time: the one that reaches the limit again goes to the end of the line, so that the next credit
    /// is another's.
    fn resume_next(&mut self, resume: Resume) -> bool {
        let window = self.settings.delivery_window_bytes;
        let next = match resume {
            Resume::Connection(id) => {
                let connection = self.connections.get_mut(&id).filter(|state| state.unsent_bytes < window);
                connection.and_then(|state| state.stalled.pop_front())
            }
            Resume::Session(id) => {
                let session = session_mut(&mut self.connections, id).filter(|session| session.has_credit());
                session.and_then(|session| session.stalled.pop_front())
            }
        };
        next.inspect(|consumer| self.resume_consumer(*consumer)).is_some()
    }

    pub(crate) fn resume_consumer(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.get_mut(&id) else { return };
        if consumer.waiting == Waiting::Messages {
            return;
        }
        consumer.waiting = Waiting::Messages;
        if let Some(queue) = self.queues.get_mut(&consumer.queue) {
            queue.turns.push_back(id);
            self.to_dispatch.push_back(consumer.queue);
        }
    }
}

impl crate::broker::Settings {
    /// The consumer whose turn it is, among those that can take a message now. Others leave the line, for that of what they
    /// wait for.
    pub(crate) fn next_consumer<'b>(
        &self,
        queue: &mut Queue,
        consumers: &'b mut Consumers,
        connections: &'b mut Connections,
    ) -> Option<(ConsumerId, &'b mut Consumer, &'b mut Connection)> {
        loop {
            let &id = queue.turns.front()?;
            // By their places, so that neither is looked up twice.
            let Some(at) = consumers.get_index_of(&id) else {
                queue.turns.pop_front();
                continue;
            };
            let consumer = &mut consumers[at];
            let connection_at = connections.get_index_of(&consumer.session.connection)?;
            let connection = &mut connections[connection_at];
            consumer.waiting = self.what_to_wait_for(consumer, connection);
            if consumer.waiting == Waiting::Messages {
                return Some((id, &mut consumers[at], &mut connections[connection_at]));
            }
            queue.turns.pop_front();
            stall(id, consumer, connection);
        }
    }

    fn what_to_wait_for(&self, consumer: &Consumer, connection: &Connection) -> Waiting {
        let session_has_credit = || {
            let session = connection.sessions.get(&consumer.session.channel);
            session.is_some_and(
                |session| if consumer.no_ack { session.has_room() } else { session.has_credit() },
            )
        };
        if !consumer.has_credit() {
            Waiting::OwnAcks
        } else if !session_has_credit() {
            Waiting::SessionAcks
        } else if connection.unsent_bytes >= self.delivery_window_bytes {
            Waiting::Window
        } else {
            Waiting::Messages
        }
    }
}

fn stall(id: ConsumerId, consumer: &Consumer, connection: &mut Connection) {
    match consumer.waiting {
        Waiting::Window => connection.stalled.push_back(id),
        Waiting::SessionAcks => {
            if let Some(session) = connection.sessions.get_mut(&consumer.session.channel) {
                session.stalled.push_back(id);
            }
        }
        Waiting::OwnAcks | Waiting::Messages => {}
    }
}

fn deliver(
    id: ConsumerId,
    consumer: &mut Consumer,
    connection: &mut Connection,
    queue: QueueNumber,
    offered: &Offered,
    now: Timestamp,
    out: &mut Output,
) {
    let message = offered.slot.stored();
    connection.unsent_bytes += u64::from(message.stored_bytes);
    let Some(session) = connection.sessions.get_mut(&consumer.session.channel) else { return };
    let tag = session.next_delivery_tag();
    if !consumer.no_ack {
        consumer.unacked += 1;
        session.consumer_unacked += 1;
        let (sequence, consumer) = (offered.sequence, Some(id));
        session.unacked.push(Delivery { tag, queue, sequence, consumer, at: now });
    }
    let effect = Effect::Deliver {
        consumer_tag: consumer.tag.clone(),
        delivery_tag: tag,
        redelivered: offered.redelivered,
        task: None,
        message,
    };
    out.effect(Recipient::Session(consumer.session), message.place.durable_at(), effect);
}
