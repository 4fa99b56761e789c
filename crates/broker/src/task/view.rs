//! A task as others see it.

use bytes::Bytes;
use field_table::ShortString;

use super::{LeaseId, TaskId};
use crate::Timestamp;

/// Where a task stands. The last four are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// It waits for a time: a delay, or the back-off of a retry.
    Scheduled,
    /// It waits for a worker.
    Ready,
    /// A worker has it.
    Running,
    /// Done; its result is kept for a while.
    Succeeded,
    /// Given up; what the worker said last is kept for a while.
    Failed,
    /// Taken back by command.
    Cancelled,
    /// Not started, or not done, in time.
    Expired,
}

impl TaskState {
    /// Whether nothing follows it.
    #[must_use]
    pub fn is_final(self) -> bool {
        self >= Self::Succeeded
    }

    /// Its name in lower case, as documents spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// What is known of a task, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// The queue that it is on, or was.
    pub queue: ShortString,
    /// Its name, by which workers find the function; may be empty.
    pub name: ShortString,
    /// Where it stands.
    pub state: TaskState,
    /// How often a worker said that it failed.
    pub attempts: u32,
    /// How often a worker was lost while it had the task.
    pub crashes: u32,
    /// How often a worker gave it back unharmed.
    pub releases: u32,
    /// Attempts after which it is given up.
    pub max_attempts: u32,
    /// Of the last delivery. Each has a higher one than all before, over restarts too; but which was the last may be forgotten by
    /// a restart while the task waits. 0 when none is known.
    pub epoch: u64,
    /// Grows with everything that this view shows, also over restarts.
    pub version: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// For a scheduled task: when it becomes ready.
    pub due_at: Option<Timestamp>,
    /// When it expires if it is not done.
    pub deadline: Option<Timestamp>,
    /// For a final state: since when.
    pub ended_at: Option<Timestamp>,
    /// For a final state: until when the result is kept.
    pub kept_until: Option<Timestamp>,
    /// For a final state: the HTTP status that the result stands for.
    pub status: Option<u16>,
    /// For a task that a worker has by lease: who it says it is.
    pub worker: Option<ShortString>,
    /// What the worker last said of its progress. In memory only.
    pub progress: Option<Bytes>,
}

/// What a worker gets with a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// By which the worker names its hold on the task.
    pub lease: LeaseId,
    /// When the hold ends if it is not extended.
    pub expires_at: Timestamp,
    /// The task.
    pub task: TaskView,
}

/// What is added to the message of a task when it is delivered to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDelivery {
    /// The task's id.
    pub task: TaskId,
    /// Counts from 1: attempts and crashes before, and this one.
    pub attempt: u32,
    /// Grows with every delivery: outside systems can fence with it.
    pub epoch: u64,
    /// Whose reply address the worker answers to.
    pub lease: LeaseId,
    /// When the task expires if it is not done.
    pub deadline: Option<Timestamp>,
}

/// What became of a lease that its worker has settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The task.
    pub task: TaskId,
    /// Where it stands now.
    pub state: TaskState,
    /// For a scheduled task: when it becomes ready.
    pub due_at: Option<Timestamp>,
    /// The tasks that were published with it, in the order of the publishes; none for messages of plain queues.
    pub published: Vec<Option<TaskId>>,
}

/// A queue in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueReport {
    /// Its name.
    pub name: ShortString,
    /// It survives a restart.
    pub durable: bool,
    /// Its messages are tasks.
    pub is_task_queue: bool,
    /// Tasks that are not done, at most; none for no limit. Task queues only.
    pub max_length: Option<u64>,
    /// Messages, or tasks, that wait for a worker.
    pub ready: u64,
    /// Messages, or tasks, that a worker has.
    pub running: u64,
    /// Tasks that wait for a time.
    pub scheduled: u64,
    /// Tasks that were given up and are kept.
    pub failed: u64,
    /// Consumers, and leases that are waited for.
    pub consumers: u64,
    /// About how long the backlog takes at the present rate, in milliseconds; none when nothing was done lately.
    pub drain_ms: Option<u64>,
}
