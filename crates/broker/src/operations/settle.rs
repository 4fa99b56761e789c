//! Deliveries are acknowledged, discarded or returned.

use crate::broker::{Broker, Reply, Request, Resume};
use crate::command::Outcome;
use crate::consumer::{ConsumerId, Waiting};
use crate::effect::Answer;
use crate::operations::task::Back;
use crate::output::Output;
use crate::session::{Mode, session_mut};
use crate::unacked::Delivery;
use crate::{Refusal, SessionId, Timestamp};

/// Whether a delivery is a task's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsTask {
    Yes,
    No,
}

impl Broker {
    pub(crate) fn settle(
        &mut self,
        request: Request,
        delivery_tag: u64,
        multiple: bool,
        outcome: Outcome,
        out: &mut Output,
    ) -> Reply {
        let mut deliveries = std::mem::take(&mut self.scratch.deliveries);
        deliveries.clear();
        let settled = self.take_deliveries(request.session, delivery_tag, multiple, &mut deliveries);
        let result = settled.and_then(|()| self.settle_or_collect(request, &mut deliveries, outcome, out));
        self.scratch.deliveries = deliveries;
        result.map(|()| None)
    }

    /// Puts all unacked deliveries of the session back to their places.
    pub(crate) fn recover(&mut self, request: Request, out: &mut Output) -> Reply {
        if let Some(session) = session_mut(&mut self.connections, request.session) {
            let mut deliveries = std::mem::take(&mut self.scratch.deliveries);
            deliveries.clear();
            session.unacked.take_all(&mut deliveries);
            self.take_back(request.now, request.session, &deliveries, Back::Released, out);
            self.return_credit(request.session, &deliveries);
            self.scratch.deliveries = deliveries;
        }
        Ok(Some(Answer::Recovered))
    }

    /// Does to the deliveries, which were taken off their session, what their client decided.
    pub(crate) fn settle_deliveries(
        &mut self,
        request: Request,
        deliveries: &mut [Delivery],
        outcome: Outcome,
        out: &mut Output,
    ) {
        match outcome {
            Outcome::Acknowledged => {
                self.counters.acknowledged += deliveries.len() as u64;
                self.remove_settled(request, deliveries, outcome, out);
            }
            Outcome::Discarded => {
                self.remove_settled(request, deliveries, outcome, out);
            }
            Outcome::Requeued => self.requeue(request, deliveries, out),
        }
    }

    /// Puts deliveries back that their client does not want to settle.
    fn requeue(&mut self, request: Request, deliveries: &[Delivery], out: &mut Output) {
        for delivery in deliveries {
            if self.put_back(delivery) == IsTask::Yes {
                self.settle_task_delivery(request.now, request.session, delivery, Outcome::Requeued, out);
            }
        }
    }

    /// Puts deliveries back that their session leaves unsettled. Of a connection that was lost, the first of each consumer is
    /// what it was working on.
    pub(crate) fn take_back(
        &mut self,
        now: Timestamp,
        session: SessionId,
        deliveries: &[Delivery],
        why: Back,
        out: &mut Output,
    ) {
        let mut blamed: Vec<ConsumerId> = Vec::new();
        for delivery in deliveries {
            if self.put_back(delivery) == IsTask::No {
                continue;
            }
            let Some(task) = self.task_delivered_by(session, delivery) else { continue };
            let is_first = delivery.consumer.is_none_or(|consumer| !blamed.contains(&consumer));
            let why = if is_first { why } else { Back::Released };
            blamed.extend(delivery.consumer.filter(|_| is_first));
            self.take_task_back(now, task, why, out);
        }
    }

    /// Puts a message back to its place, if its queue still exists. Tasks are left to the caller.
    fn put_back(&mut self, delivery: &Delivery) -> IsTask {
        let Some(queue) = self.queues.get_mut(&delivery.queue) else { return IsTask::No };
        if queue.tasks.is_some() {
            return IsTask::Yes;
        }
        queue.requeue(delivery.sequence);
        if self.to_dispatch.back() != Some(&delivery.queue) {
            self.to_dispatch.push_back(delivery.queue);
        }
        IsTask::No
    }

    /// Gives consumers the credit of settled deliveries back.
    pub(crate) fn return_credit(&mut self, id: SessionId, deliveries: &[Delivery]) {
        let mut of_consumers = 0;
        for consumer_id in deliveries.iter().filter_map(|delivery| delivery.consumer) {
            of_consumers += 1;
            let Some(consumer) = self.consumers.get_mut(&consumer_id) else { continue };
            consumer.unacked -= 1;
            if consumer.waiting == Waiting::OwnAcks && consumer.has_credit() {
                self.resume_consumer(consumer_id);
            }
        }
        if let Some(session) = session_mut(&mut self.connections, id) {
            session.consumer_unacked -= of_consumers;
            if !session.stalled.is_empty() {
                self.to_resume.push_back(Resume::Session(id));
            }
        }
    }

    fn take_deliveries(
        &mut self,
        id: SessionId,
        tag: u64,
        multiple: bool,
        taken: &mut Vec<Delivery>,
    ) -> Result<(), Refusal> {
        let Some(session) = session_mut(&mut self.connections, id) else { return Ok(()) };
        let unknown = Refusal::UnknownDeliveryTag { delivery_tag: tag };
        match (multiple, tag) {
            (true, 0) => session.unacked.take_all(taken),
            (true, _) => session.unacked.take_up_to(tag, taken).ok_or(unknown)?,
            (false, _) => taken.push(session.unacked.take(tag).ok_or(unknown)?),
        }
        Ok(())
    }

    fn settle_or_collect(
        &mut self,
        request: Request,
        deliveries: &mut [Delivery],
        outcome: Outcome,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        let id = request.session;
        let Some(session) = session_mut(&mut self.connections, id) else { return Ok(()) };
        if let Mode::Transaction(open) = &mut session.mode {
            let collected = open.settle(deliveries, outcome);
            if collected.is_err() {
                session.unacked.put_back(deliveries.iter().copied());
            }
            return collected
                .map_err(|bound| Refusal::TransactionTooLarge { unit: bound.unit, limit: bound.limit });
        }
        self.settle_deliveries(request, deliveries, outcome, out);
        self.return_credit(id, deliveries);
        Ok(())
    }

    fn remove_settled(
        &mut self,
        request: Request,
        deliveries: &mut [Delivery],
        outcome: Outcome,
        out: &mut Output,
    ) {
        if deliveries.len() > 1 {
            deliveries.sort_unstable_by_key(|delivery| (delivery.queue, delivery.sequence));
        }
        for of_one_queue in deliveries.chunk_by(|one, next| one.queue == next.queue) {
            let number = of_one_queue[0].queue;
            let Some(queue) = self.queues.get_mut(&number) else { continue };
            if queue.tasks.is_some() {
                for delivery in of_one_queue {
                    self.settle_task_delivery(request.now, request.session, delivery, outcome, out);
                }
                continue;
            }
            if outcome == Outcome::Discarded {
                self.counters.rejected_dropped += of_one_queue.len() as u64;
            }
            self.scratch.ranges.clear();
            for delivery in of_one_queue {
                queue.settle(delivery.sequence, &mut self.scratch.ranges, out);
            }
            out.record_settled(number, &self.scratch.ranges);
        }
    }
}
