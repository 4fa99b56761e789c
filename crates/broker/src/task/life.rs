//! A task, as the core keeps it.

use std::sync::Arc;

use bytes::Bytes;
use field_table::ShortString;

use super::record::TaskAccepted;
use super::{LeaseId, Settlement, TaskState, TaskView};
use crate::effect::ReplyHead;
use crate::{Lsn, RequestTag, SessionId, StoredMessage, Timestamp};

/// A task: what was accepted, which never changes, and what has become of it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) accepted: Arc<TaskAccepted>,
    pub(crate) phase: Phase,
    /// Not before, as it was last recorded. That the time has come is not recorded: time itself says so.
    pub(crate) due_at: Option<Timestamp>,
    /// The hold that was lost last, to tell its worker what has become of the task. In memory only.
    pub(crate) lost: Option<LeaseId>,
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
    pub(crate) releases: u32,
    pub(crate) epoch: u64,
    pub(crate) version: u64,
    /// What its last holder has settled, for when the answer was lost.
    pub(crate) last_settlement: Option<Box<LastSettlement>>,
    pub(crate) progress: Option<Bytes>,
    /// Where its reply goes instead: to a caller that came back. In memory, as the address is.
    pub(crate) reattached: Option<Box<ReplyHead>>,
    pub(crate) watchers: Vec<Watcher>,
    /// When it wants attention, as the index of alarms has it.
    pub(crate) alarm: Option<Timestamp>,
    /// Changed since the last seal.
    pub(crate) is_changed: bool,
    /// A run has it.
    pub(crate) is_stored: bool,
}

/// Where a task stands.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// It waits for a worker if it is due, else for the time first.
    Waiting { is_due: bool },
    /// A worker has it.
    Running(Box<Run>),
    /// Nothing follows.
    Ended(Box<End>),
}

/// One worker's hold on a task.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) lease: LeaseId,
    pub(crate) holder: Holder,
}

/// What keeps a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A delivery that its session has not settled.
    Delivery { session: SessionId, tag: u64 },
    /// A delivery that needed no ack; the reply is to come.
    Awaited { session: SessionId },
    /// A delivery that was acked; the reply may be on its way, by another connection.
    Acked { until: Timestamp },
    /// A lease, which is journaled.
    Lease { expires_at: Timestamp, lease_ms: u64, worker: ShortString },
}

/// How a task ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) state: TaskState,
    pub(crate) at: Timestamp,
    pub(crate) kept_until: Timestamp,
    pub(crate) status: u16,
    pub(crate) result: Option<StoredMessage>,
    /// A worker that does not know of the end yet.
    pub(crate) orphan: Option<LeaseId>,
}

/// What a holder has settled, and what it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastSettlement {
    pub(crate) lease: LeaseId,
    pub(crate) kind: SettlementKind,
    pub(crate) answer: Settlement,
}

/// The three ways to settle a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettlementKind {
    /// The work is done.
    Complete,
    /// The work failed.
    Fail,
    /// The task was given back unharmed.
    Release,
}

/// Somebody who waits for a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watcher {
    pub(crate) lane: SessionId,
    pub(crate) request: RequestTag,
    /// Answer when the version is above it; none for the end.
    pub(crate) since: Option<u64>,
    pub(crate) with_result: bool,
}

impl Task {
    pub(crate) fn new(accepted: TaskAccepted) -> Self {
        let (phase, due_at) = (Phase::Waiting { is_due: accepted.due_at.is_none() }, accepted.due_at);
        Self {
            accepted: Arc::new(accepted),
            phase,
            due_at,
            lost: None,
            attempts: 0,
            crashes: 0,
            releases: 0,
            epoch: 0,
            version: 0,
            last_settlement: None,
            progress: None,
            reattached: None,
            watchers: Vec::new(),
            alarm: None,
            is_changed: false,
            is_stored: false,
        }
    }

    pub(crate) fn state(&self) -> TaskState {
        match &self.phase {
            Phase::Waiting { is_due: false } => TaskState::Scheduled,
            Phase::Waiting { is_due: true } => TaskState::Ready,
            Phase::Running(_) => TaskState::Running,
            Phase::Ended(end) => end.state,
        }
    }

    /// The entry that holds its result.
    pub(crate) fn result_entry(&self) -> Option<Lsn> {
        self.end()?.result.map(|result| result.place.durable_at())
    }

    /// The hold that is in force.
    pub(crate) fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) => Some(run),
            Phase::Waiting { .. } | Phase::Ended(_) => None,
        }
    }

    pub(crate) fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Ended(end) => Some(end),
            Phase::Waiting { .. } | Phase::Running(_) => None,
        }
    }

    /// Whether its message is to stay with nobody: it is leased, waits for a time, or was given up.
    pub(crate) fn is_kept_back(&self) -> bool {
        match &self.phase {
            Phase::Waiting { is_due } => !is_due,
            Phase::Running(_) => true,
            Phase::Ended(end) => end.state == TaskState::Failed,
        }
    }

    /// Somebody waits for a reply: an ack alone does not end it at once.
    pub(crate) fn expects_reply(&self) -> bool {
        self.accepted.expects_reply || self.reattached.is_some()
    }

    /// Where its reply goes beside.
    pub(crate) fn reply(&self) -> Option<ReplyHead> {
        self.reattached.as_ref().or(self.accepted.reply.as_ref()).map(|reply| (**reply).clone())
    }

    /// A worker had it before.
    pub(crate) fn was_started(&self) -> bool {
        self.epoch > 0 || self.attempts + self.crashes + self.releases > 0
    }

    /// Its time is over: it was to be started, or done, by now.
    pub(crate) fn is_overdue(&self, now: Timestamp) -> bool {
        let is_past = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
        let is_waiting = matches!(self.phase, Phase::Waiting { .. });
        let is_late = is_waiting && !self.was_started() && is_past(self.accepted.start_before);
        self.end().is_none() && (is_past(self.accepted.deadline) || is_late)
    }

    /// When it next wants attention.
    pub(crate) fn next_alarm(&self) -> Option<Timestamp> {
        let accepted = &self.accepted;
        let phase = match &self.phase {
            Phase::Ended(end) => return Some(end.kept_until),
            Phase::Waiting { is_due } => {
                let due_at = self.due_at.filter(|_| !is_due);
                earlier(due_at, accepted.start_before.filter(|_| !self.was_started()))
            }
            Phase::Running(run) => match &run.holder {
                Holder::Delivery { .. } | Holder::Awaited { .. } => None,
                Holder::Acked { until } => Some(*until),
                Holder::Lease { expires_at, .. } => Some(*expires_at),
            },
        };
        earlier(phase, accepted.deadline)
    }

    pub(crate) fn view(&self, queue: ShortString) -> TaskView {
        let accepted = &self.accepted;
        let end = self.end();
        let worker = match self.run().map(|run| &run.holder) {
            Some(Holder::Lease { worker, .. }) => Some(worker.clone()),
            _ => None,
        };
        TaskView {
            id: accepted.id,
            queue,
            name: accepted.name.clone(),
            state: self.state(),
            attempts: self.attempts,
            crashes: self.crashes,
            releases: self.releases,
            max_attempts: accepted.max_attempts,
            epoch: self.epoch,
            version: self.version,
            created_at: accepted.time,
            due_at: self.due_at.filter(|_| self.state() == TaskState::Scheduled),
            deadline: accepted.deadline,
            ended_at: end.map(|end| end.at),
            kept_until: end.map(|end| end.kept_until),
            status: end.map(|end| end.status),
            worker: worker.filter(|worker| !worker.is_empty()),
            progress: self.progress.clone(),
        }
    }
}

/// The earlier of two times, where there are any.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}
