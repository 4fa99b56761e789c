//! A task, as the entries of a journal say.

use broker::{Envelope, LeaseId, SettlementKind, TaskAccepted, TaskEnded, TaskId, TaskState, Timestamp};

use crate::messages::MessageId;

/// A task.
#[derive(Debug)]
pub struct JournaledTask {
    /// What was accepted.
    pub accepted: Box<TaskAccepted>,
    /// Its message, if it is one of ours.
    pub message: Option<MessageId>,
    /// The entry that says so.
    pub accepted_at: u64,
    /// The lease that holds it.
    pub hold: Option<LeaseId>,
    /// How it ended.
    pub end: Option<JournaledEnd>,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) releases: u32,
    pub(super) epoch: u64,
}

/// The end of a task.
#[derive(Debug)]
pub struct JournaledEnd {
    /// What was written.
    pub record: Box<TaskEnded>,
    /// The entry that says so.
    pub entry: u64,
    /// The result.
    pub result: Option<Envelope>,
}

/// A lease.
#[derive(Debug)]
pub struct JournaledLease {
    /// The task.
    pub task: TaskId,
    /// The entry that gives it.
    pub entry: u64,
    /// How and in which entry its holder settled it, where the task stood then, and when it was to become ready.
    pub settled: Option<LeaseSettlement>,
}

/// How a lease was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseSettlement {
    /// The entry.
    pub entry: u64,
    /// The kind.
    pub kind: SettlementKind,
    /// Where it has brought its task.
    pub state: TaskState,
    /// When the task becomes ready, if it has to wait for that.
    pub due_at: Option<Timestamp>,
}

impl JournaledTask {
    /// Failed attempts, crashes and releases.
    #[must_use]
    pub fn counters(&self) -> (u32, u32, u32) {
        (self.attempts, self.crashes, self.releases)
    }
}
