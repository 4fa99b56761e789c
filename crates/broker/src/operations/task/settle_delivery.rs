//! A session settles the delivery of a task, or ends with it.

use crate::broker::Broker;
use crate::command::Outcome;
use crate::operations::task::Ending;
use crate::operations::task::return_to_queue::FailedAttempt;
use crate::output::Output;
use crate::task::{Holder, Phase, Retry, TaskId};
use crate::unacked::Delivery;
use crate::{SessionId, Timestamp};

/// How long an acked task whose reply somebody expects waits for it, in milliseconds.
///
/// A worker may ack by one connection and reply by another, and either may come first.
const REPLY_GRACE_MS: u64 = 1000;

/// Why a delivery comes back that nobody has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// Its session gave it back, or ended in peace.
    Released,
    /// Its connection was lost while the worker was at it.
    Lost,
}

impl Broker {
    /// Does to a task what its worker said of the delivery. Of a delivery that is not in force any more nothing is done.
    pub(crate) fn settle_task_delivery(
        &mut self,
        now: Timestamp,
        session: SessionId,
        delivery: &Delivery,
        outcome: Outcome,
        out: &mut Output,
    ) {
        let Some(id) = self.task_delivered_by(session, delivery) else {
            // An ack behind the reply is how every RPC worker ends.
            self.counters.task_settlements_late += u64::from(outcome != Outcome::Acknowledged);
            return;
        };
        match outcome {
            Outcome::Acknowledged => self.acknowledge_task(now, id, out),
            Outcome::Discarded => self.end_task(now, id, Ending::failed(None, None), out),
            Outcome::Requeued => {
                let retry = Retry::BackOff;
                self.fail_attempt(
                    now,
                    id,
                    FailedAttempt { retry, status: None, error: None, settled: None },
                    out,
                );
            }
        }
    }

    /// Takes a task back whose delivery nobody has settled.
    pub(crate) fn take_task_back(&mut self, now: Timestamp, id: TaskId, why: Back, out: &mut Output) {
        match why {
            Back::Released => self.put_task_back(id, out),
            Back::Lost => self.crash_task(now, id, out),
        }
    }

    /// Takes the tasks back whose replies were to come from a session that has ended. If it was lost, it was at the first.
    pub(crate) fn take_awaited_back(
        &mut self,
        now: Timestamp,
        session: SessionId,
        awaited: impl IntoIterator<Item = TaskId>,
        why: Back,
        out: &mut Output,
    ) {
        let mut why = why;
        for id in awaited {
            let is_awaited = |holder: &Holder| *holder == Holder::Awaited { session };
            if !self.tasks.get(id).and_then(|task| task.run()).is_some_and(|run| is_awaited(&run.holder)) {
                continue;
            }
            let why = std::mem::replace(&mut why, Back::Released);
            self.take_task_back(now, id, why, out);
        }
    }

    /// Whether a delivery of a task holds it no more.
    pub(crate) fn is_stale(&self, session: SessionId, delivery: &Delivery) -> bool {
        let of_tasks = self.queues.get(&delivery.queue).is_some_and(|queue| queue.tasks.is_some());
        of_tasks && self.task_delivered_by(session, delivery).is_none()
    }

    fn acknowledge_task(&mut self, now: Timestamp, id: TaskId, out: &mut Output) {
        let expects_reply = self.tasks.get(id).is_some_and(|task| task.expects_reply());
        if !expects_reply {
            return self.end_task(now, id, Ending::succeeded(None, None), out);
        }
        self.change_task(id, |task| {
            if let Phase::Running(run) = &mut task.phase {
                run.holder = Holder::Acked { until: Timestamp(now.0 + REPLY_GRACE_MS) };
            }
        });
    }

    /// The task of a delivery, if the delivery is what holds it.
    pub(crate) fn task_delivered_by(&self, session: SessionId, delivery: &Delivery) -> Option<TaskId> {
        let id = self.tasks.of_message(delivery.queue, delivery.sequence)?;
        let run = self.tasks.get(id)?.run()?;
        (run.holder == Holder::Delivery { session, tag: delivery.tag }).then_some(id)
    }
}
