//! A task goes back to its queue: it failed and is tried again, its worker was lost, or gave it back.

use crate::broker::Broker;
use crate::operations::task::Ending;
use crate::output::Output;
use crate::record::Record;
use crate::task::{Phase, Retry, SettledBy, TaskId, TaskReturned, back_off};
use crate::{Envelope, Timestamp};

/// Workers that may be lost with a task before it is taken for the reason.
pub const CRASHES_MAX: u32 = 3;

/// A failed attempt, and what its worker wants to follow.
#[derive(Debug)]
pub(crate) struct FailedAttempt<'a> {
    pub(crate) retry: Retry,
    /// For whoever waits, if the task is given up.
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'a Envelope>,
    pub(crate) settled: Option<SettledBy>,
}

impl Broker {
    /// An attempt has failed: the task is tried again, or given up.
    pub(crate) fn fail_attempt(
        &mut self,
        now: Timestamp,
        id: TaskId,
        attempt: FailedAttempt<'_>,
        out: &mut Output,
    ) {
        let Some(task) = self.tasks.get(id) else { return };
        let attempts = task.attempts + 1;
        let is_last = attempts >= task.accepted.max_attempts;
        let delay_ms = match attempt.retry {
            Retry::Never => None,
            _ if is_last => None,
            Retry::BackOff => Some(back_off::delay_ms(attempts, &mut self.tasks.random)),
            Retry::After(delay_ms) => Some(delay_ms),
        };
        let Some(delay_ms) = delay_ms else {
            let ending = Ending { settled: attempt.settled, ..Ending::failed(attempt.status, attempt.error) };
            return self.end_task(now, id, ending, out);
        };
        self.counters.task_retries += 1;
        let change = |returned: &mut TaskReturned| {
            returned.attempts = attempts;
            returned.due_at = due_at(now, delay_ms);
            returned.settled = attempt.settled;
        };
        self.return_task(id, change, out);
    }

    /// The worker was lost: the task is tried again, unless it has taken too many with it.
    pub(crate) fn crash_task(&mut self, now: Timestamp, id: TaskId, out: &mut Output) {
        let Some(task) = self.tasks.get(id) else { return };
        self.counters.task_crashes += 1;
        let crashes = task.crashes + 1;
        if crashes >= CRASHES_MAX {
            return self.end_task(now, id, Ending::crash_loop(), out);
        }
        self.return_task(id, |returned| returned.crashes = crashes, out);
    }

    /// The worker gave it back unharmed, and says so.
    pub(crate) fn release_task(
        &mut self,
        now: Timestamp,
        id: TaskId,
        delay_ms: u64,
        settled: Option<SettledBy>,
        out: &mut Output,
    ) {
        let change = |returned: &mut TaskReturned| {
            returned.releases += 1;
            returned.due_at = due_at(now, delay_ms);
            returned.settled = settled;
        };
        self.return_task(id, change, out);
    }

    /// A delivery came back without anything worth recording: its session has ended in peace.
    pub(crate) fn put_task_back(&mut self, id: TaskId, out: &mut Output) {
        self.change_task(id, |task| {
            task.lost = task.run().map(|run| run.lease);
            task.phase = Phase::Waiting { is_due: true };
        });
        self.tell_watchers(id, out);
    }

    fn return_task(&mut self, id: TaskId, change: impl FnOnce(&mut TaskReturned), out: &mut Output) {
        let Some(task) = self.tasks.get(id) else { return };
        let mut returned = TaskReturned {
            task: id,
            attempts: task.attempts,
            crashes: task.crashes,
            releases: task.releases,
            due_at: None,
            settled: None,
        };
        change(&mut returned);
        out.record(&Record::TaskReturned(returned.clone()));
        self.apply_task_returned(returned);
        self.tell_watchers(id, out);
    }
}

fn due_at(now: Timestamp, delay_ms: u64) -> Option<Timestamp> {
    (delay_ms > 0).then(|| Timestamp(now.0.saturating_add(delay_ms)))
}
