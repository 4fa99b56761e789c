//! A ready task meets a worker: a consumer with credit, or one that waits for a lease.

use crate::broker::Broker;
use crate::effect::{Effect, Recipient};
use crate::message::Offered;
use crate::operations::task::Ending;
use crate::operations::task::alarm::TASKS_MAX;
use crate::output::Output;
use crate::session::session_mut;
use crate::task::{Holder, LeaseId, Phase, Run, Task, TaskDelivery, TaskId};
use crate::unacked::Delivery;
use crate::{QueueNumber, SessionId, Timestamp};

/// A delivery of a task's message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handover {
    pub(crate) session: SessionId,
    pub(crate) tag: u64,
    pub(crate) no_ack: bool,
}

impl Broker {
    /// Hands ready tasks out, in turn between leases and consumers, until there are none or nobody wants any.
    pub(crate) fn dispatch_tasks(&mut self, now: Timestamp, number: QueueNumber, out: &mut Output) {
        while self.end_overdue_tasks(now, number, out) {
            let Some(queue) = self.queues.get(&number) else { return };
            let Some(tasks) = &queue.tasks else { return };
            if queue.strand.ready().messages == 0 {
                return;
            }
            let pull_is_next = !tasks.pulls.is_empty() && !tasks.pull_was_last;
            let served = if pull_is_next {
                self.serve_pull(now, number, out)
            } else {
                self.serve_consumer(now, number, out) || self.serve_pull(now, number, out)
            };
            if !served {
                return;
            }
        }
    }

    /// Ends the tasks in front of the ready ones whose time is over and whose alarm is late, as after a time without a broker:
    /// nobody gets them any more. False if there are too many for one go; the alarm sees to the rest.
    pub(crate) fn end_overdue_tasks(
        &mut self,
        now: Timestamp,
        number: QueueNumber,
        out: &mut Output,
    ) -> bool {
        for _ in 0..TASKS_MAX {
            let first = self.queues.get(&number).and_then(|queue| queue.strand.first_ready());
            let task = first.and_then(|sequence| self.tasks.of_message(number, sequence));
            let is_overdue = |id: &TaskId| self.tasks.get(*id).is_some_and(|task| task.is_overdue(now));
            let Some(id) = task.filter(is_overdue) else { return true };
            self.end_task(now, id, Ending::expired(), out);
        }
        false
    }

    /// Notes that a session has a task now, and what its worker is told of it. A delivery that needs no ack, of a task whose
    /// reply nobody expects, is all there is to it.
    pub(crate) fn hand_over_task(
        &mut self,
        now: Timestamp,
        queue: QueueNumber,
        sequence: u64,
        to: Handover,
        out: &mut Output,
    ) -> Option<Box<TaskDelivery>> {
        let id = self.tasks.of_message(queue, sequence)?;
        let expects_reply = self.tasks.get(id)?.expects_reply();
        let Handover { session, tag, no_ack } = to;
        let holder = if no_ack { Holder::Awaited { session } } else { Holder::Delivery { session, tag } };
        let delivery = self.begin_run(id, holder)?;
        if no_ack && !expects_reply {
            self.end_task(now, id, Ending::succeeded(None, None), out);
        } else {
            if no_ack && let Some(session) = session_mut(&mut self.connections, session) {
                session.awaited.insert(id);
            }
            self.tell_watchers(id, out);
        }
        Some(Box::new(delivery))
    }

    /// The epoch and lease of the next delivery of a task.
    pub(crate) fn next_hold(&mut self, id: TaskId) -> Option<(u64, LeaseId)> {
        let first_epoch = (self.boot << Task::BOOT_BITS) + 1;
        let epoch = (self.tasks.get(id)?.epoch + 1).max(first_epoch);
        Some((epoch, LeaseId::from_bytes(self.tasks.random.draw().to_be_bytes())))
    }

    fn begin_run(&mut self, id: TaskId, holder: Holder) -> Option<TaskDelivery> {
        let (epoch, lease) = self.next_hold(id)?;
        self.change_task(id, |task| {
            task.epoch = epoch;
            task.phase = Phase::Running(Box::new(Run { lease, holder }));
        });
        let task = self.tasks.get(id)?;
        let attempt = task.attempts + task.crashes + 1;
        Some(TaskDelivery { task: id, attempt, epoch, lease, deadline: task.accepted.deadline })
    }

    fn serve_consumer(&mut self, now: Timestamp, number: QueueNumber, out: &mut Output) -> bool {
        let Some(queue) = self.queues.get_mut(&number) else { return false };
        let next = self.settings.next_consumer(queue, &mut self.consumers, &mut self.connections);
        let Some((id, consumer, connection)) = next else { return false };
        let Some(Offered { sequence, slot, redelivered }) = queue.strand.offer() else { return false };
        let Some(session) = connection.sessions.get_mut(&consumer.session.channel) else { return false };
        let message = slot.stored();
        connection.unsent_bytes += u64::from(message.stored_bytes);
        let tag = session.next_delivery_tag();
        let to = Handover { session: consumer.session, tag, no_ack: consumer.no_ack };
        let consumer_tag = consumer.tag.clone();
        if !to.no_ack {
            consumer.unacked += 1;
            session.consumer_unacked += 1;
            session.unacked.push(Delivery { tag, queue: number, sequence, consumer: Some(id), at: now });
        }
        if queue.turns.len() > 1 {
            queue.turns.rotate_left(1);
        }
        queue.tasks.iter_mut().for_each(|tasks| tasks.pull_was_last = false);
        self.counters.delivered(redelivered);
        let task = self.hand_over_task(now, number, sequence, to, out);
        let effect = Effect::Deliver { consumer_tag, delivery_tag: tag, redelivered, task, message };
        out.effect(Recipient::Session(to.session), message.place.durable_at(), effect);
        true
    }
}
