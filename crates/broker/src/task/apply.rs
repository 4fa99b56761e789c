//! Records of tasks become state: the half that live and recovery share.

use super::life::{End, Holder, LastSettlement, Phase, Run, Task};
use super::record::{SettledBy, TaskAccepted, TaskEnded, TaskLeased, TaskReturned};
use super::{Settlement, TaskId, TaskState};
use crate::broker::{Broker, Resume};
use crate::session::session_mut;
use crate::{QueueNumber, Timestamp};

impl Broker {
    /// A message that has just entered a queue is a task.
    pub(crate) fn apply_task_accepted(&mut self, accepted: TaskAccepted) {
        let Some(queue) = self.queues.get_mut(&accepted.queue) else { return };
        let Some(task_queue) = &mut queue.tasks else { return };
        let task = Task::new(accepted);
        task_queue.counts.add(task.state());
        if task.is_kept_back() {
            queue.strand.hold(task.accepted.sequence);
        }
        self.tasks.insert(task);
    }

    pub(crate) fn apply_task_leased(&mut self, leased: TaskLeased) {
        let TaskLeased { task, lease, epoch, time, lease_ms, worker } = leased;
        let holder =
            Holder::Lease { expires_at: Timestamp(time.0.saturating_add(lease_ms)), lease_ms, worker };
        self.change_task(task, |task| {
            task.epoch = epoch;
            task.phase = Phase::Running(Box::new(Run { lease, holder }));
        });
    }

    pub(crate) fn apply_task_returned(&mut self, returned: TaskReturned) {
        let TaskReturned { task: id, attempts, crashes, releases, due_at, settled } = returned;
        self.change_task(id, |task| {
            (task.attempts, task.crashes, task.releases) = (attempts, crashes, releases);
            if settled.is_none() {
                task.lost = task.run().map(|run| run.lease).or(task.lost);
            }
            task.due_at = due_at;
            task.phase = Phase::Waiting { is_due: due_at.is_none() };
            task.progress = None;
            let answer = Settlement { task: id, state: task.state(), due_at, published: Vec::new() };
            task.remember(settled, answer);
        });
    }

    pub(crate) fn apply_task_ended(&mut self, ended: TaskEnded) {
        let TaskEnded { task: id, state, time, kept_until, status, result, .. } = ended;
        self.change_task(id, |task| {
            (task.attempts, task.crashes, task.epoch) = (ended.attempts, ended.crashes, ended.epoch);
            // Who settles it knows. Another holder is told when it asks, as far as it can ask.
            let is_lease = |run: &&Run| matches!(run.holder, Holder::Lease { .. });
            let orphan = task.run().filter(|_| ended.settled.is_none()).filter(is_lease).map(|run| run.lease);
            task.phase = Phase::Ended(Box::new(End { state, at: time, kept_until, status, result, orphan }));
            let answer = Settlement { task: id, state, due_at: None, published: ended.published };
            task.remember(ended.settled, answer);
        });
    }

    /// Keeps ended tasks no longer.
    pub(crate) fn apply_tasks_forgotten(&mut self, tasks: &[TaskId]) {
        for id in tasks {
            let Some(task) = self.tasks.remove(*id) else { continue };
            let Some(queue) = self.queues.get_mut(&task.accepted.queue) else { continue };
            if let Some(task_queue) = &mut queue.tasks {
                task_queue.counts.remove(task.state());
            }
            if task.is_kept_back() {
                queue.strand.settle(task.accepted.sequence);
            }
        }
    }

    /// A boot begins: leases get one fresh period, since their holders could not extend them meanwhile.
    pub(crate) fn renew_leases(&mut self, now: Timestamp) {
        let leased: Vec<TaskId> =
            self.tasks.iter().filter(|task| task.run().is_some()).map(|task| task.accepted.id).collect();
        for id in leased {
            self.change_task(id, |task| {
                if let Phase::Running(run) = &mut task.phase
                    && let Holder::Lease { expires_at, lease_ms, .. } = &mut run.holder
                {
                    *expires_at = Timestamp(now.0.saturating_add(*lease_ms));
                }
            });
        }
    }

    /// The tasks of a queue that is gone are gone with it.
    pub(crate) fn forget_tasks_of(&mut self, queue: QueueNumber) {
        let gone: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|task| task.accepted.queue == queue)
            .map(|task| task.accepted.id)
            .collect();
        for id in gone {
            self.tasks.remove(id);
        }
    }

    /// Changes a task, and with it all that follows: its message's place, its queue's counts, its version.
    pub(crate) fn change_task(&mut self, id: TaskId, change: impl FnOnce(&mut Task)) {
        let Some(task) = self.tasks.get(id) else { return };
        let (before, was_awaited_by) = (task.state(), awaited_by(task));
        let first_version = self.boot << Task::BOOT_BITS;
        self.tasks.change(id, |task| {
            change(task);
            task.version = task.version.max(first_version) + 1;
        });
        let Some(task) = self.tasks.get(id) else { return };
        if let Some(session) = was_awaited_by.filter(|_| awaited_by(task).is_none()) {
            if let Some(session) = session_mut(&mut self.connections, session) {
                session.awaited.remove(&id);
            }
            self.to_resume.push_back(Resume::Session(session));
        }
        let Some(queue) = self.queues.get_mut(&task.accepted.queue) else { return };
        if let Some(task_queue) = &mut queue.tasks {
            task_queue.counts.remove(before);
            task_queue.counts.add(task.state());
        }
        let sequence = task.accepted.sequence;
        match &task.phase {
            _ if task.is_kept_back() => queue.strand.hold(sequence),
            Phase::Waiting { .. } => {
                queue.strand.unhold(sequence);
                self.to_dispatch.push_back(task.accepted.queue);
            }
            Phase::Running(_) | Phase::Ended(_) => {
                queue.strand.settle(sequence);
            }
        }
    }
}

impl Task {
    /// Epochs and versions of a boot begin at its number, shifted by so many bits: so they grow over restarts, though they are
    /// not journaled, and stay exact in JSON's numbers for eight thousand million boots.
    pub(crate) const BOOT_BITS: u32 = 20;

    fn remember(&mut self, settled: Option<SettledBy>, answer: Settlement) {
        if let Some(SettledBy { lease, kind }) = settled {
            self.last_settlement = Some(Box::new(LastSettlement { lease, kind, answer }));
        }
    }
}

impl super::task_queue::TaskCounts {
    pub(crate) fn add(&mut self, state: TaskState) {
        self.each(state, |count| *count += 1);
    }

    pub(crate) fn remove(&mut self, state: TaskState) {
        self.each(state, |count| *count -= 1);
    }

    fn each(&mut self, state: TaskState, change: impl Fn(&mut u64)) {
        if !state.is_final() {
            change(&mut self.unfinished);
        }
        match state {
            TaskState::Scheduled => change(&mut self.scheduled),
            TaskState::Running => change(&mut self.running),
            TaskState::Failed => change(&mut self.failed),
            TaskState::Ready | TaskState::Succeeded | TaskState::Cancelled | TaskState::Expired => {}
        }
    }
}

/// The session whose end would return the task, where no delivery of the session stands for it.
fn awaited_by(task: &Task) -> Option<crate::SessionId> {
    match task.run()?.holder {
        Holder::Awaited { session } => Some(session),
        Holder::Delivery { .. } | Holder::Acked { .. } | Holder::Lease { .. } => None,
    }
}
