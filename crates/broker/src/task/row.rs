//! A task as a row of a checkpoint.
//!
//! Value: what the `TaskAccepted` record says; what `TaskReturned` would say now, with the time that the last settlement has set;
//! `3 due?` if another time was set since; and `0` for a task that waits (or that a session has, which is not durable), `1` and
//! what `TaskLeased` says, or `2` and what `TaskEnded` says, with the place of the result instead of the result.

use bytes::BufMut;

use super::TaskId;
use super::life::{Holder, LastSettlement, Phase, Task};
use super::record::{SettledBy, TaskAccepted, TaskEnded, TaskLeased, TaskReturned};
use mistakes::{Mistake, is_planted};

use crate::broker::Broker;
use crate::varint::{self, Cursor};
use crate::{StoredMessage, Timestamp};

const WAITING: u8 = 0;
const LEASED: u8 = 1;
const ENDED: u8 = 2;
const DUE_SINCE: u8 = 3;

/// The durable part of a task at the moment of a seal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SealedTask {
    pub(crate) id: TaskId,
    /// The encoded row.
    pub(crate) row: Vec<u8>,
}

impl SealedTask {
    pub(crate) fn of(task: &Task) -> Self {
        let mut row = Vec::new();
        task.accepted.write(&mut row);
        let settled = last_settlement(task, false);
        // Who repeats the settlement is answered as before, whatever has become of the task since.
        let settled_due_at = settled.map_or(task.due_at, |settled| settled.answer.due_at);
        TaskReturned {
            task: task.accepted.id,
            attempts: task.attempts,
            crashes: task.crashes,
            releases: task.releases,
            due_at: settled_due_at,
            settled: settled.map(settled_by),
        }
        .write(&mut row);
        if task.due_at != settled_due_at {
            row.put_u8(DUE_SINCE);
            varint::write_optional(&mut row, task.due_at.map(|due_at| due_at.0));
        }
        match &task.phase {
            Phase::Waiting { .. } => row.put_u8(WAITING),
            Phase::Running(run) => match leased(task, run.lease, &run.holder) {
                None => row.put_u8(WAITING),
                Some(leased) => {
                    row.put_u8(LEASED);
                    leased.write(&mut row);
                }
            },
            Phase::Ended(_) => {
                row.put_u8(ENDED);
                ended(task).iter().for_each(|ended| ended.write_row(&mut row));
            }
        }
        Self { id: task.accepted.id, row }
    }
}

/// A row as it was read.
struct TaskRow {
    accepted: TaskAccepted,
    returned: TaskReturned,
    /// The time that was set since, if one was.
    due_since: Option<Option<Timestamp>>,
    phase: RowPhase,
}

enum RowPhase {
    Waiting,
    Leased(TaskLeased),
    Ended(TaskEnded),
}

impl TaskRow {
    fn read(cursor: &mut Cursor) -> Option<Self> {
        let (accepted, returned) = (TaskAccepted::read(cursor)?, TaskReturned::read(cursor)?);
        let (mut due_since, mut phase) = (None, cursor.u8()?);
        if phase == DUE_SINCE {
            due_since = Some(cursor.optional()?.map(Timestamp));
            phase = cursor.u8()?;
        }
        let phase = match phase {
            WAITING => RowPhase::Waiting,
            LEASED => RowPhase::Leased(TaskLeased::read(cursor)?),
            ENDED => RowPhase::Ended(TaskEnded::read_row(cursor)?),
            _ => return None,
        };
        Some(Self { accepted, returned, due_since, phase })
    }
}

/// A row's task, and where its result lies, if it has one.
pub(crate) fn result_in_row(cursor: &mut Cursor) -> Option<(TaskId, Option<StoredMessage>)> {
    let row = TaskRow::read(cursor)?;
    let result = match row.phase {
        RowPhase::Ended(ended) => ended.result,
        RowPhase::Waiting | RowPhase::Leased(_) => None,
    };
    Some((row.accepted.id, result))
}

impl Broker {
    /// Puts a task back. Its queue and the queue's messages are there already.
    pub(crate) fn restore_task(&mut self, cursor: &mut Cursor) -> Option<()> {
        let TaskRow { mut accepted, returned, due_since, phase } = TaskRow::read(cursor)?;
        accepted.key.take_if(|_| is_planted(Mistake::KeyLostByCheckpoint));
        let id = accepted.id;
        self.apply_task_accepted(accepted);
        self.apply_task_returned(returned);
        if let Some(due_at) = due_since {
            self.change_task(id, |task| {
                task.due_at = due_at;
                task.phase = Phase::Waiting { is_due: due_at.is_none() };
            });
        }
        match phase {
            RowPhase::Waiting => {}
            RowPhase::Leased(leased) => self.apply_task_leased(leased),
            RowPhase::Ended(ended) => self.apply_task_ended(ended),
        }
        self.tasks.restored(id);
        Some(())
    }
}

fn leased(task: &Task, lease: super::LeaseId, holder: &Holder) -> Option<TaskLeased> {
    let Holder::Lease { lease_ms, worker, .. } = holder else { return None };
    Some(TaskLeased {
        task: task.accepted.id,
        lease,
        epoch: task.epoch,
        // Of no account: a boot gives each lease a fresh period.
        time: Timestamp(0),
        lease_ms: *lease_ms,
        worker: worker.clone(),
    })
}

/// What was settled last, if that has ended the task, or else has not.
fn last_settlement(task: &Task, has_ended: bool) -> Option<&LastSettlement> {
    task.last_settlement.as_deref().filter(|last| last.answer.state.is_final() == has_ended)
}

fn settled_by(last: &LastSettlement) -> SettledBy {
    SettledBy { lease: last.lease, kind: last.kind }
}

fn ended(task: &Task) -> Option<TaskEnded> {
    let end = task.end()?;
    let settled = last_settlement(task, true);
    Some(TaskEnded {
        task: task.accepted.id,
        state: end.state,
        time: end.at,
        attempts: task.attempts,
        crashes: task.crashes,
        epoch: task.epoch,
        status: end.status,
        kept_until: end.kept_until,
        settled: settled.map(settled_by),
        published: settled.map(|settled| settled.answer.published.clone()).unwrap_or_default(),
        result: end.result,
    })
}
