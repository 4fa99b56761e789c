//! What a queue has beside its messages when they are tasks.

use std::collections::VecDeque;

use field_table::{ShortString, Table, Value};

use crate::{Refusal, RequestTag, SessionId, Timestamp};

/// The argument that makes a queue's messages tasks.
pub(crate) const TASK_QUEUE: &[u8] = b"x-task-queue";
const MAX_LENGTH: &[u8] = b"x-max-length";

/// The task side of a queue.
#[derive(Debug, Default)]
pub(crate) struct TaskQueue {
    /// Unfinished tasks at most; what comes beyond is refused.
    pub(crate) max_length: Option<u64>,
    pub(crate) counts: TaskCounts,
    /// Workers that wait for a lease, in turn.
    pub(crate) pulls: VecDeque<Pull>,
    /// The last task went to a pull, so the next goes to a consumer, where there are both.
    pub(crate) pull_was_last: bool,
    pub(crate) pace: Pace,
}

/// The unfinished tasks of a queue, and those that were given up, by where they stand. The rest is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskCounts {
    pub(crate) unfinished: u64,
    pub(crate) scheduled: u64,
    pub(crate) running: u64,
    pub(crate) failed: u64,
}

/// A worker that waits for tasks.
#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) lane: SessionId,
    pub(crate) request: RequestTag,
    pub(crate) max: u32,
    pub(crate) lease_ms: u64,
    pub(crate) worker: ShortString,
}

/// How fast tasks end: a moving average of the time between two.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Timestamp>,
    /// Microseconds, to be exact enough for queues that finish many within a millisecond.
    interval_us: Option<u64>,
}

impl TaskQueue {
    /// What the arguments of a queue ask for; `None` for a plain queue.
    pub(crate) fn from_arguments(queue: &ShortString, arguments: &Table) -> Result<Option<Self>, Refusal> {
        let invalid = |argument: &'static [u8], expected| Refusal::InvalidArgument {
            queue: queue.clone(),
            argument: ShortString::try_from(argument).unwrap_or_default(),
            expected,
        };
        match arguments.get(TASK_QUEUE).map(Value::as_bool) {
            None | Some(Some(false)) => return Ok(None),
            Some(Some(true)) => {}
            Some(None) => return Err(invalid(TASK_QUEUE, "it has to be true or false")),
        }
        let max_length = match arguments.get(MAX_LENGTH).map(Value::as_integer) {
            None => None,
            Some(Some(length)) if length >= 0 => Some(length as u64),
            Some(_) => return Err(invalid(MAX_LENGTH, "it has to be a whole number of at least 0")),
        };
        Ok(Some(Self { max_length, ..Self::default() }))
    }

    /// Whether `more` tasks have room.
    pub(crate) fn check_room(&self, queue: &ShortString, more: u64) -> Result<(), Refusal> {
        let Some(limit) = self.max_length.filter(|limit| self.counts.unfinished + more > *limit) else {
            return Ok(());
        };
        let backlog = self.counts.unfinished;
        let retry_after_ms = self.pace.time_for_ms((backlog + more).saturating_sub(limit));
        Err(Refusal::QueueFull { queue: queue.clone(), backlog, limit, retry_after_ms })
    }
}

impl Pace {
    /// The share of a new interval in the average: 1 / 16.
    const SHARE: u64 = 16;

    /// Notes that a task has ended.
    pub(crate) fn ended(&mut self, now: Timestamp) {
        if let Some(last) = self.last.replace(now) {
            let interval_us = now.0.saturating_sub(last.0) * 1000;
            self.interval_us = Some(match self.interval_us {
                None => interval_us,
                Some(average) => (average * (Self::SHARE - 1) + interval_us) / Self::SHARE,
            });
        }
    }

    /// About how long it takes until so many tasks have ended, in milliseconds.
    pub(crate) fn time_for_ms(&self, tasks: u64) -> Option<u64> {
        self.interval_us.map(|interval_us| interval_us.saturating_mul(tasks) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[(&'static str, Value)]) -> Result<Option<Option<u64>>, Refusal> {
        let table: Table =
            arguments.iter().map(|(name, value)| (ShortString::from_static(name), value.clone())).collect();
        let queue = TaskQueue::from_arguments(&ShortString::from_static("q"), &table)?;
        Ok(queue.map(|queue| queue.max_length))
    }

    #[test]
    fn arguments_decide_whether_messages_are_tasks() {
        assert_eq!(parse(&[("x-max-length", Value::I64(-1))]), Ok(None), "a plain queue's business");
        assert_eq!(parse(&[("x-task-queue", Value::Bool(false))]), Ok(None));
        assert_eq!(parse(&[("x-task-queue", Value::Bool(true))]), Ok(Some(None)));
        let limited = [("x-task-queue", Value::Bool(true)), ("x-max-length", Value::I32(7))];
        assert_eq!(parse(&limited), Ok(Some(Some(7))));
        for wrong in [
            vec![("x-task-queue", Value::text("yes"))],
            vec![("x-task-queue", Value::Bool(true)), ("x-max-length", Value::I64(-1))],
        ] {
            assert!(matches!(parse(&wrong), Err(Refusal::InvalidArgument { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn the_pace_follows_what_happens() {
        let mut pace = Pace::default();
        assert_eq!(pace.time_for_ms(10), None);
        (0..100).for_each(|step| pace.ended(Timestamp(step * 50)));
        assert_eq!(pace.time_for_ms(10), Some(500));
    }
}
