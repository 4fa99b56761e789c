//! The tasks of a vhost, and the ways to find one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use field_table::ShortString;
use mistakes::{Mistake, is_planted};

use super::life::{Phase, Task};
use super::random::RandomStream;
use super::{LeaseId, TaskId, TaskKey};
use crate::effect::ReplyHead;
use crate::{Lsn, QueueNumber, Timestamp};

/// All tasks that are unfinished or whose results are kept.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Shared with seals that are being written down; the first change after one copies.
    by_id: BTreeMap<TaskId, Arc<Task>>,
    /// Those whose message is still in its queue.
    by_message: BTreeMap<(QueueNumber, u64), TaskId>,
    /// By the leases that their holders may still name.
    by_lease: BTreeMap<LeaseId, TaskId>,
    /// First tasks of requests, by queue, user and key.
    by_key: BTreeMap<(QueueNumber, ShortString, ShortString), TaskId>,
    /// When each wants attention.
    alarms: BTreeSet<(Timestamp, TaskId)>,
    /// The entries that hold results, with how many of them.
    results: BTreeMap<Lsn, u32>,
    /// Those that have changed since the last seal; some may be gone.
    changed: Vec<TaskId>,
    /// Those that are gone, and that a run still has.
    gone: Vec<TaskId>,
    /// Task queues: where there is none, publishes need not look for them.
    pub(crate) queues: usize,
    pub(crate) random: RandomStream,
    /// Replies that go out with the command that is being handled.
    pub(crate) to_relay: VecDeque<Relay>,
}

/// A reply that a producer wants published.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) to: ReplyHead,
    /// Encoded, the producer's correlation id among them.
    pub(crate) properties: Vec<u8>,
    pub(crate) body: Bytes,
}

impl Tasks {
    pub(crate) fn new(random: RandomStream) -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_message: BTreeMap::new(),
            by_lease: BTreeMap::new(),
            by_key: BTreeMap::new(),
            alarms: BTreeSet::new(),
            results: BTreeMap::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            queues: 0,
            random,
            to_relay: VecDeque::new(),
        }
    }

    pub(crate) fn get(&self, id: TaskId) -> Option<&Task> {
        self.by_id.get(&id).map(|task| &**task)
    }

    /// For changes that move the task nowhere: see [`crate::Broker::change_task`] for the others.
    pub(crate) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.by_id.get_mut(&id).map(Arc::make_mut)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.by_id.values().map(|task| &**task)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The task of a message.
    pub(crate) fn of_message(&self, queue: QueueNumber, sequence: u64) -> Option<TaskId> {
        self.by_message.get(&(queue, sequence)).copied()
    }

    /// The tasks whose messages are in a queue, with their sequences, in order.
    pub(crate) fn on_queue(&self, queue: QueueNumber) -> impl Iterator<Item = (u64, TaskId)> + '_ {
        self.by_message.range((queue, 0)..=(queue, u64::MAX)).map(|((_, sequence), id)| (*sequence, *id))
    }

    /// The task that a holder may name by this lease.
    pub(crate) fn of_lease(&self, lease: LeaseId) -> Option<TaskId> {
        self.by_lease.get(&lease).copied()
    }

    /// The first task of the request that had this key, while the key is known.
    pub(crate) fn of_key(
        &self,
        queue: QueueNumber,
        user: &ShortString,
        key: &ShortString,
        now: Timestamp,
    ) -> Option<&Task> {
        let task = self.get(*self.by_key.get(&(queue, user.clone(), key.clone()))?)?;
        let is_known = |key: &TaskKey| key.until > now && !is_planted(Mistake::KeyNotLookedUp);
        task.accepted.key.as_deref().filter(|key| is_known(key)).map(|_| task)
    }

    pub(crate) fn insert(&mut self, mut task: Task) {
        task.is_changed = true;
        self.changed.push(task.accepted.id);
        let accepted = Arc::clone(&task.accepted);
        let id = accepted.id;
        self.by_message.insert((accepted.queue, accepted.sequence), id);
        if let Some(key) = &accepted.key {
            let first = self.by_key.entry((accepted.queue, key.user.clone(), key.key.clone())).or_insert(id);
            // A checkpoint gives tasks back in the order of their ids, which need not be that of their coming.
            let known = self.by_id.get(first).and_then(|task| task.accepted.key.as_ref());
            if known.is_none_or(|known| known.until <= key.until) {
                *first = id;
            }
        }
        self.by_id.insert(id, Arc::new(task));
        self.rearm(id);
    }

    /// Takes a task out of every index.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<Arc<Task>> {
        let task = self.by_id.remove(&id)?;
        self.gone.extend(task.is_stored.then_some(id));
        self.count_result(task.result_entry(), None);
        let accepted = &task.accepted;
        self.by_message.remove(&(accepted.queue, accepted.sequence));
        leases(&task).for_each(|lease| {
            self.by_lease.remove(&lease);
        });
        if let Some(key) = &accepted.key {
            let name = (accepted.queue, key.user.clone(), key.key.clone());
            // A later request may have taken the key over.
            if self.by_key.get(&name) == Some(&id) {
                self.by_key.remove(&name);
            }
        }
        if let Some(alarm) = task.alarm {
            self.alarms.remove(&(alarm, id));
        }
        Some(task)
    }

    /// Changes a task and keeps the indexes right.
    pub(crate) fn change(&mut self, id: TaskId, change: impl FnOnce(&mut Task)) {
        let Some(task) = self.by_id.get_mut(&id).map(Arc::make_mut) else { return };
        let before: Vec<LeaseId> = leases(task).collect();
        let result_before = task.result_entry();
        change(task);
        let result = task.result_entry();
        if !std::mem::replace(&mut task.is_changed, true) {
            self.changed.push(id);
        }
        for lease in before {
            self.by_lease.remove(&lease);
        }
        for lease in leases(task) {
            self.by_lease.insert(lease, id);
        }
        let message_is_gone = task.end().is_some() && !task.is_kept_back();
        if message_is_gone {
            self.by_message.remove(&(task.accepted.queue, task.accepted.sequence));
        }
        self.count_result(result_before, result);
        self.rearm(id);
    }

    /// What has changed since the last seal: each with its task, or with none if it is gone. In the order of their ids.
    pub(crate) fn seal(&mut self) -> Vec<(TaskId, Option<Arc<Task>>)> {
        let mut sealed = Vec::with_capacity(self.changed.len() + self.gone.len());
        for id in std::mem::take(&mut self.changed) {
            // An id may have come back meanwhile, or be twice in the list: the flag knows.
            if let Some(task) = self.by_id.get_mut(&id).filter(|task| task.is_changed) {
                let changed = Arc::make_mut(task);
                (changed.is_changed, changed.is_stored) = (false, true);
                sealed.push((id, Some(Arc::clone(task))));
            }
        }
        let is_gone = |id: &TaskId| !self.by_id.contains_key(id);
        sealed.extend(std::mem::take(&mut self.gone).into_iter().filter(is_gone).map(|id| (id, None)));
        sealed.sort_unstable_by_key(|(id, _)| *id);
        sealed.dedup_by_key(|(id, _)| *id);
        sealed
    }

    /// A run has the task as it is.
    pub(crate) fn restored(&mut self, id: TaskId) {
        if let Some(task) = self.get_mut(id) {
            (task.is_changed, task.is_stored) = (false, true);
        }
    }

    /// No run has any of them.
    pub(crate) fn forget_seals(&mut self) {
        self.gone.clear();
        self.changed = self.by_id.keys().copied().collect();
        for task in self.by_id.values_mut().map(Arc::make_mut) {
            (task.is_changed, task.is_stored) = (true, false);
        }
    }

    /// The entries that hold results, ascending.
    pub(crate) fn result_entries(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.results.keys().copied()
    }

    fn count_result(&mut self, before: Option<Lsn>, after: Option<Lsn>) {
        if before == after {
            return;
        }
        if let Some(lsn) = after {
            *self.results.entry(lsn).or_default() += 1;
        }
        if let Some(lsn) = before
            && let Some(count) = self.results.get_mut(&lsn)
        {
            *count -= 1;
            if *count == 0 {
                self.results.remove(&lsn);
            }
        }
    }

    /// When the first task wants attention.
    pub(crate) fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(time, _)| *time)
    }

    /// A task that wants attention by now.
    pub(crate) fn due(&self, now: Timestamp) -> Option<TaskId> {
        self.alarms.first().filter(|(time, _)| *time <= now).map(|(_, id)| *id)
    }

    fn rearm(&mut self, id: TaskId) {
        let Some(task) = self.by_id.get_mut(&id).map(Arc::make_mut) else { return };
        let next = task.next_alarm();
        let before = std::mem::replace(&mut task.alarm, next);
        if before != next {
            if let Some(time) = before {
                self.alarms.remove(&(time, id));
            }
            if let Some(time) = next {
                self.alarms.insert((time, id));
            }
        }
    }
}

/// The leases that holders of a task may still name: the one in force, the one that was settled last, the one that was lost
/// last, and that of a worker whose task ended without it.
fn leases(task: &Task) -> impl Iterator<Item = LeaseId> + use<> {
    let settled = task.last_settlement.as_ref().map(|settlement| settlement.lease);
    let held = match &task.phase {
        Phase::Waiting { .. } => None,
        Phase::Running(run) => Some(run.lease),
        Phase::Ended(end) => end.orphan,
    };
    [settled, held, task.lost].into_iter().flatten()
}
