//! A worker publishes its reply to the address that its delivery came with.

use mistakes::{Mistake, is_planted};

use crate::broker::Broker;
use crate::command::Publish;
use crate::operations::publish::Accepted;
use crate::operations::task::Ending;
use crate::operations::task::return_to_queue::FailedAttempt;
use crate::output::Output;
use crate::room::Need;
use crate::task::{LeaseId, ReplyOutcome, Retry, TaskId};
use crate::{Lsn, SessionId, Timestamp};

impl Broker {
    /// Takes a reply as the outcome of its task. A reply to a delivery that is not in force any more changes nothing, and is
    /// treated like a message that meets no queue.
    pub(crate) fn answer_task(
        &mut self,
        now: Timestamp,
        from: SessionId,
        lease: LeaseId,
        publish: &Publish,
        out: &mut Output,
    ) -> Accepted {
        let Some(id) = self.task_held_by(lease) else {
            self.counters.task_settlements_late += 1;
            self.unroutable(from, publish, out);
            return Accepted { safe_after: Lsn::NONE, refusal: None };
        };
        let need = Need::of_result(&publish.envelope);
        if let Err(refusal) = self.take(from.connection, need, 1, out) {
            return Accepted::refused(refusal);
        }
        self.counters.routed += 1;
        let ReplyOutcome { is_error, retry, status } = ReplyOutcome::read(publish.envelope.properties());
        let result = &publish.envelope;
        if !is_error {
            self.end_task(now, id, Ending::succeeded(status, Some(result)), out);
        } else {
            let attempt = FailedAttempt { retry, status, error: Some(result), settled: None };
            self.fail_attempt(now, id, attempt, out);
        }
        Accepted { safe_after: out.position(), refusal: None }
    }

    /// The task that is held by this lease, and by no other since.
    pub(crate) fn task_held_by(&self, lease: LeaseId) -> Option<TaskId> {
        let id = self.tasks.of_lease(lease)?;
        self.tasks
            .get(id)?
            .run()
            .filter(|run| run.lease == lease || is_planted(Mistake::EpochNotChecked))
            .map(|_| id)
    }
}

impl Retry {
    /// Tries again, after so many milliseconds or when the back-off says, or not at all.
    pub(crate) fn asked_for(retry: bool, delay_ms: Option<u64>) -> Self {
        match (retry, delay_ms) {
            (false, _) => Self::Never,
            (true, None) => Self::BackOff,
            (true, Some(delay_ms)) => Self::After(delay_ms),
        }
    }
}
