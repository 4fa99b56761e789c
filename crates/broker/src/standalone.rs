//! What can be asked without a session: each request stands alone, and its refusal ends nothing else.

use bytes::Bytes;
use field_table::ShortString;

use crate::command::{DeclareQueue, Publish};
use crate::task::{LeaseId, TaskId};
use crate::{Envelope, RequestTag};

/// A request of its own. Answers are [`crate::Answer`]s unless said otherwise; each may be refused.
#[derive(Clone, Debug)]
pub enum Standalone {
    /// Declares a queue. Answer `QueueDeclared`.
    DeclareQueue(DeclareQueue),
    /// Deletes a queue with its messages and tasks. Answer `QueueDeleted`. A missing one is refused.
    DeleteQueue {
        /// Its name.
        name: ShortString,
        /// Refuse when it has consumers.
        if_unused: bool,
        /// Refuse when it has ready messages.
        if_empty: bool,
    },
    /// Asks for a queue's numbers. Answer `Queue`.
    DescribeQueue {
        /// Its name.
        name: ShortString,
    },
    /// Publishes a message. Answer `Published` when it is safe; a mandatory one that no queue takes is refused.
    Publish(Publish),
    /// Adds tasks to a queue, all or none. Answer `Enqueued` when they are safe.
    Enqueue(Enqueue),
    /// Asks for a task. Answered by one [`crate::Effect::Task`].
    Watch {
        /// The task.
        task: TaskId,
        /// When to answer.
        until: Until,
        /// Whether its result comes along, if there is one.
        with_result: bool,
    },
    /// Wants no answer to an earlier `Watch`, or `Enqueue` with `watch`, any more. No answer of its own.
    StopWatching {
        /// The tag of that request.
        watch: RequestTag,
    },
    /// Takes a task back. Answer `Cancelled`. Refused when it has ended.
    Cancel {
        /// The task.
        task: TaskId,
    },
    /// Takes tasks of a queue. Answered by an [`crate::Effect::Leased`] each, then `LeasesGranted`.
    Lease(Lease),
    /// Wants no answer to a `Lease` any more that waits. Answered by what it would have got: `LeasesGranted` with
    /// none, unless it has already been answered.
    StopLeasing {
        /// The tag of that request.
        waiting: RequestTag,
    },
    /// Keeps a lease. Answer `LeaseExtended`.
    Extend {
        /// The lease.
        lease: LeaseId,
        /// How long it shall last from now, in milliseconds; none for as long as it was asked for at first.
        lease_ms: Option<u64>,
        /// Progress to be shown, in memory only.
        progress: Option<Bytes>,
    },
    /// The work is done. Answer `Settled`; repeated, the same answer.
    Complete(Complete),
    /// The work failed. Answer `Settled`; repeated, the same answer.
    Fail(Fail),
    /// Gives a task back unharmed. Answer `Settled`; repeated, the same answer.
    Release {
        /// The lease.
        lease: LeaseId,
        /// How long the task shall wait, in milliseconds.
        delay_ms: u64,
    },
}

/// When a `Watch` is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// At once.
    Now,
    /// When the task's version is above this one.
    Changed {
        /// The version that is known.
        since: u64,
    },
    /// When the task has ended.
    Ended,
}

/// New tasks.
#[derive(Clone, Debug)]
pub struct Enqueue {
    /// The queue, which has to be a task queue.
    pub queue: ShortString,
    /// The tasks: messages with their options in properties and headers. At least one.
    pub tasks: Vec<Envelope>,
    /// Somebody waits for a reply: a worker's ack alone does not end the task at once.
    pub expects_reply: bool,
    /// Under which the request is known when it is repeated.
    pub key: Option<IdempotencyKey>,
    /// Answer a second time, by [`crate::Effect::Task`] with the result, when the first task has ended.
    pub watch: bool,
}

/// Makes a repeated request the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The user who asks: keys of different users are different.
    pub user: ShortString,
    /// What the client chose.
    pub key: ShortString,
    /// A digest of what is asked for: the same key with another one is refused.
    pub fingerprint: [u8; 32],
}

/// Asks for tasks to work on.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The queue, which has to be a task queue.
    pub queue: ShortString,
    /// Tasks at most, at least 1.
    pub max: u32,
    /// How long each is held if it is not extended, in milliseconds.
    pub lease_ms: u64,
    /// Who asks, to be shown.
    pub worker: ShortString,
    /// Wait when there is none.
    pub wait: bool,
}

/// The outcome of work that is done.
#[derive(Clone, Debug)]
pub struct Complete {
    /// The lease.
    pub lease: LeaseId,
    /// The HTTP status for whoever waits; none for 200, or 204 without a result. From 400 on, the task has failed for good.
    pub status: Option<u16>,
    /// The result: properties and body count.
    pub result: Option<Envelope>,
    /// Published with it, all or nothing, through the default exchange.
    pub publish: Vec<Envelope>,
}

/// The outcome of work that failed.
#[derive(Clone, Debug)]
pub struct Fail {
    /// The lease.
    pub lease: LeaseId,
    /// The HTTP status for whoever waits, if the task is given up; none for 500.
    pub status: Option<u16>,
    /// What went wrong: properties and body count.
    pub error: Envelope,
    /// Try again, unless it was the last attempt.
    pub retry: bool,
    /// After how many milliseconds; none for the queue's back-off.
    pub delay_ms: Option<u64>,
}
