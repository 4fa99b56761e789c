//! A task ends, one way or another.

use message_properties::PropertiesView;

use crate::broker::Broker;
use crate::effect::ReplyHead;
use crate::output::Output;
use crate::task::{Relay, SettledBy, TaskEnded, TaskId, TaskState};
use crate::{Envelope, Timestamp};

/// How long a result is kept if its task does not say, in milliseconds: a day.
const RESULT_TTL_MS: u64 = 24 * 3_600_000;
/// The same for a task that was given up: a week, so that somebody can look at it.
const FAILED_TTL_MS: u64 = 7 * 24 * 3_600_000;

/// How a task ends.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    pub(crate) state: TaskState,
    pub(crate) status: u16,
    pub(crate) result: Option<&'a Envelope>,
    /// It ends with one more failed attempt.
    pub(crate) adds_attempt: bool,
    /// It ends with one more crash.
    pub(crate) adds_crash: bool,
    pub(crate) settled: Option<SettledBy>,
    pub(crate) published: Vec<Option<TaskId>>,
}

impl<'a> Ending<'a> {
    /// Done.
    pub(crate) fn succeeded(status: Option<u16>, result: Option<&'a Envelope>) -> Self {
        let default = if result.is_some() { 200 } else { 204 };
        Self { status: status.unwrap_or(default), ..Self::plain(TaskState::Succeeded, result) }
    }

    /// Given up with one more failed attempt.
    pub(crate) fn failed(status: Option<u16>, result: Option<&'a Envelope>) -> Self {
        let status = status.unwrap_or(500);
        Self { status, adds_attempt: true, ..Self::plain(TaskState::Failed, result) }
    }

    pub(crate) fn cancelled() -> Self {
        Self { status: 410, ..Self::plain(TaskState::Cancelled, None) }
    }

    pub(crate) fn expired() -> Self {
        Self { status: 504, ..Self::plain(TaskState::Expired, None) }
    }

    /// Given up because too many workers were lost with it.
    pub(crate) fn crash_loop() -> Self {
        Self { status: 500, adds_crash: true, ..Self::plain(TaskState::Failed, None) }
    }

    fn plain(state: TaskState, result: Option<&'a Envelope>) -> Self {
        Self {
            state,
            status: 0,
            result,
            adds_attempt: false,
            adds_crash: false,
            settled: None,
            published: Vec::new(),
        }
    }
}

impl Broker {
    /// Ends a task: records it with its result, tells those who wait, and sends the producer's reply on its way.
    pub(crate) fn end_task(&mut self, now: Timestamp, id: TaskId, ending: Ending<'_>, out: &mut Output) {
        let Some(task) = self.tasks.get(id).filter(|task| task.end().is_none()) else { return };
        let mut ended = TaskEnded {
            task: id,
            state: ending.state,
            time: now,
            attempts: task.attempts + u32::from(ending.adds_attempt),
            crashes: task.crashes + u32::from(ending.adds_crash),
            epoch: task.epoch,
            status: ending.status,
            kept_until: kept_until(now, ending.state, &task.accepted),
            settled: ending.settled,
            published: ending.published,
            result: None,
        };
        let reply = task.reply();
        let (queue, state) = (task.accepted.queue, ending.state);
        ended.result = out.record_task_ended(&ended, ending.result);
        self.apply_task_ended(ended);
        self.count_end(state);
        if let Some(task_queue) = self.queues.get_mut(&queue).and_then(|queue| queue.tasks.as_mut()) {
            task_queue.pace.ended(now);
        }
        if let Some(to) = reply {
            self.tasks.to_relay.push_back(Relay::of(to, state, ending.result));
        }
        self.tell_watchers(id, out);
    }

    fn count_end(&mut self, state: TaskState) {
        let counters = &mut self.counters;
        match state {
            TaskState::Succeeded => counters.tasks_succeeded += 1,
            TaskState::Failed => counters.tasks_failed += 1,
            TaskState::Cancelled => counters.tasks_cancelled += 1,
            TaskState::Expired => counters.tasks_expired += 1,
            TaskState::Scheduled | TaskState::Ready | TaskState::Running => {}
        }
    }
}

impl Relay {
    /// The reply for a producer.
    fn of(to: ReplyHead, state: TaskState, result: Option<&Envelope>) -> Self {
        let result_properties = result.map_or(PropertiesView::NONE.as_bytes(), Envelope::properties);
        let properties = to.reply_properties(result_properties, state);
        Self { to, properties, body: result.map(Envelope::body_bytes).unwrap_or_default() }
    }
}

/// A repeated request is answered by its task, so the task outlives its key.
fn kept_until(now: Timestamp, state: TaskState, accepted: &crate::task::TaskAccepted) -> Timestamp {
    let default_ms = if state == TaskState::Failed { FAILED_TTL_MS } else { RESULT_TTL_MS };
    let until = Timestamp(now.0.saturating_add(accepted.result_ttl_ms.unwrap_or(default_ms)));
    accepted.key.as_ref().map_or(until, |key| until.max(key.until))
}
