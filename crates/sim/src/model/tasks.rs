//! What the entries of a journal say of tasks, and what they must never say.

use std::collections::{BTreeMap, BTreeSet};

use broker::{
    Envelope, LeaseId, Lsn, QueueDefinition, QueueNumber, Record, SettlementKind, TaskAccepted, TaskEnded,
    TaskId, TaskLeased, TaskReturned, TaskState, Timestamp,
};
use bytes::Bytes;
use field_table::{ShortString, Value};

use super::task::{JournaledEnd, JournaledLease, JournaledTask, LeaseSettlement};
use crate::messages::{MessageId, number};
use crate::operations::DONE;
use crate::violation::Violation;

/// How long a key is known, in milliseconds: a day.
const KEY_TTL_MS: u64 = 24 * 3_600_000;

/// The tasks of a journal after so many entries.
#[derive(Debug, Default)]
pub struct JournaledTasks {
    position: u64,
    /// The latest time that the broker was ever told: nothing is forgotten that is kept beyond it.
    pub clock: Timestamp,
    queues: BTreeMap<QueueNumber, JournaledTaskQueue>,
    /// The queue of replies.
    done: Option<QueueNumber>,
    tasks: BTreeMap<TaskId, JournaledTask>,
    /// Tasks that were forgotten in time, or went with their queue.
    gone: BTreeSet<TaskId>,
    leases: BTreeMap<LeaseId, JournaledLease>,
    published: BTreeMap<MessageId, Vec<(u64, QueueNumber)>>,
    results: BTreeMap<MessageId, (u64, TaskId)>,
    /// Replies that the entry owes to the queue of replies.
    replies_due: i64,
}

#[derive(Debug, Default)]
struct JournaledTaskQueue {
    /// The numbered messages by sequence.
    messages: BTreeMap<u64, MessageId>,
    /// All that ever became tasks, and when they last did.
    accepted: BTreeMap<MessageId, Timestamp>,
    /// Idempotency keys by user and text, and until when they are known.
    keys: BTreeMap<(ShortString, ShortString), (TaskId, Timestamp)>,
}

impl JournaledTasks {
    /// How many entries it has read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Begins again: what was read may not have come through a crash.
    pub fn begin_again(&mut self) {
        *self = Self { clock: self.clock, ..Self::default() };
    }

    /// A task, if it is there.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&JournaledTask> {
        self.tasks.get(&id)
    }

    /// Whether a task has gone in a way that is right.
    #[must_use]
    pub fn is_gone(&self, id: TaskId) -> bool {
        self.gone.contains(&id)
    }

    /// A lease.
    #[must_use]
    pub fn lease(&self, lease: LeaseId) -> Option<&JournaledLease> {
        self.leases.get(&lease)
    }

    /// In which entries a message entered queues.
    #[must_use]
    pub fn published(&self, id: MessageId) -> &[(u64, QueueNumber)] {
        self.published.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The entry in which a message became the result of a task, and the task.
    #[must_use]
    pub fn result(&self, id: MessageId) -> Option<(u64, TaskId)> {
        self.results.get(&id).copied()
    }

    /// Reads the next entry, and shows its records to `see`.
    pub fn read(&mut self, entry: &Bytes, mut see: impl FnMut(&Record)) -> Result<(), Violation> {
        self.position += 1;
        for record in Record::read_entry(Lsn(self.position), entry.clone()) {
            let record = record.map_err(|error| Violation::new("journal", error.to_string()))?;
            see(&record);
            self.take(record, entry)?;
        }
        match std::mem::take(&mut self.replies_due) {
            0 => Ok(()),
            due => Err(broken("P6", format!("entry {} owes {due} replies to {DONE}", self.position))),
        }
    }

    fn take(&mut self, record: Record, entry: &Bytes) -> Result<(), Violation> {
        match record {
            Record::QueueDeclared(definition) => self.declared(&definition),
            Record::QueueDeleted { queue } => self.deleted(queue),
            Record::Published { targets, envelope, .. } => {
                let id = number(envelope.body());
                for target in targets {
                    self.replies_due -= i64::from(Some(target.queue) == self.done);
                    let Some(id) = id else { continue };
                    self.published.entry(id).or_default().push((self.position, target.queue));
                    if let Some(queue) = self.queues.get_mut(&target.queue) {
                        queue.messages.insert(target.sequence, id);
                    }
                }
            }
            Record::TaskAccepted(accepted) => return self.accepted(accepted),
            Record::TaskLeased(leased) => return self.leased(&leased),
            Record::TaskReturned(returned) => return self.returned(&returned),
            Record::TaskEnded(ended) => return self.ended(ended, entry),
            Record::TasksForgotten { tasks } => return tasks.into_iter().try_for_each(|id| self.forget(id)),
            _ => {}
        }
        Ok(())
    }

    fn declared(&mut self, definition: &QueueDefinition) {
        if definition.arguments.get(b"x-task-queue").and_then(Value::as_bool) == Some(true) {
            self.queues.insert(definition.number, JournaledTaskQueue::default());
        }
        if definition.name.as_bytes() == DONE.as_bytes() {
            self.done = Some(definition.number);
        }
    }

    fn deleted(&mut self, queue: QueueNumber) {
        self.queues.remove(&queue);
        let of_queue = |(_, task): &(&TaskId, &JournaledTask)| task.accepted.queue == queue;
        self.gone.extend(self.tasks.iter().filter(of_queue).map(|(id, _)| *id));
        self.tasks.retain(|_, task| task.accepted.queue != queue);
    }

    fn accepted(&mut self, accepted: Box<TaskAccepted>) -> Result<(), Violation> {
        let (id, position) = (accepted.id, self.position);
        let Some(queue) = self.queues.get_mut(&accepted.queue) else {
            return Err(broken("tasks", format!("{id} was accepted on what is no task queue")));
        };
        let message = queue.messages.get(&accepted.sequence).copied();
        let before = message.and_then(|message| queue.accepted.insert(message, accepted.time));
        // Only what has a key comes again, and only when the time of the key is over is it taken again.
        if before.is_some_and(|before| accepted.time.0 < before.0 + KEY_TTL_MS) {
            return Err(broken("P3", format!("{message:?} was accepted a second time, as {id}")));
        }
        if let Some(key) = &accepted.key {
            let name = (key.user.clone(), key.key.clone());
            match queue.keys.insert(name, (id, key.until)) {
                Some((first, until)) if until > accepted.time && self.tasks.contains_key(&first) => {
                    let what = format!("key {} was taken by {first}, and by {id} within its time", key.key);
                    return Err(broken("P3", what));
                }
                _ => {}
            }
        }
        let task = JournaledTask {
            accepted,
            message,
            accepted_at: position,
            hold: None,
            end: None,
            attempts: 0,
            crashes: 0,
            releases: 0,
            epoch: 0,
        };
        match self.tasks.insert(id, task) {
            None => Ok(()),
            Some(_) => Err(broken("tasks", format!("two tasks are called {id}"))),
        }
    }

    fn leased(&mut self, leased: &TaskLeased) -> Result<(), Violation> {
        let (id, lease) = (leased.task, leased.lease);
        let task = self.unfinished(id)?;
        if let Some(hold) = task.hold {
            return Err(broken("P4", format!("{id} was leased as {lease} while {hold} holds it")));
        }
        if task.epoch >= leased.epoch {
            let what = format!("{id} was leased at epoch {} after {}", leased.epoch, task.epoch);
            return Err(broken("P4", what));
        }
        (task.hold, task.epoch) = (Some(lease), leased.epoch);
        let known = JournaledLease { task: id, entry: self.position, settled: None };
        match self.leases.insert(lease, known) {
            None => Ok(()),
            Some(_) => Err(broken("P4", format!("lease {lease} was given twice"))),
        }
    }

    fn returned(&mut self, returned: &TaskReturned) -> Result<(), Violation> {
        let id = returned.task;
        let task = self.unfinished(id)?;
        let hold = task.hold.take();
        let before = (task.attempts, task.crashes, task.releases);
        let after = (returned.attempts, returned.crashes, returned.releases);
        (task.attempts, task.crashes, task.releases) = after;
        let (attempts, crashes, releases) = before;
        let has_crashed = after == (attempts, crashes + 1, releases);
        let by_one = [(attempts + 1, crashes, releases), (attempts, crashes, releases + 1)];
        if !has_crashed && !by_one.contains(&after) {
            return Err(broken("tasks", format!("{id} returned with {after:?} after {before:?}")));
        }
        let state = if returned.due_at.is_some() { TaskState::Scheduled } else { TaskState::Ready };
        match returned.settled {
            Some(by) => self.settled(id, hold, by.lease, by.kind, state, returned.due_at),
            None if hold.is_some() && !has_crashed => {
                Err(broken("P4", format!("{id} was taken from its lease by somebody else")))
            }
            None => Ok(()),
        }
    }

    fn ended(&mut self, ended: Box<TaskEnded>, entry: &Bytes) -> Result<(), Violation> {
        let (id, state, position) = (ended.task, ended.state, self.position);
        let result = ended.result.and_then(|stored| {
            let from = stored.place.offset as usize;
            Envelope::from_stored(entry.slice(from..from + stored.stored_bytes as usize)).ok()
        });
        let task = self.unfinished(id)?;
        let hold = task.hold.take();
        let has_crashed = ended.crashes == task.crashes + 1;
        // Its epoch may be lower: a checkpoint does not keep that of a task that waits.
        let before = (task.attempts, task.crashes);
        (task.attempts, task.crashes) = (ended.attempts, ended.crashes);
        let by_one = u32::from(ended.attempts > before.0) + u32::from(ended.crashes > before.1);
        if before.0 > ended.attempts || before.1 > ended.crashes || by_one > 1 {
            return Err(broken("tasks", format!("{id} ended as {ended:?} after {before:?}")));
        }
        let has_reply =
            task.accepted.reply.as_ref().is_some_and(|to| to.address.as_bytes() == DONE.as_bytes());
        let settled = ended.settled;
        let body = result.as_ref().and_then(|result| number(result.body()));
        task.end = Some(JournaledEnd { record: ended, entry: position, result });
        self.replies_due += i64::from(has_reply && self.done.is_some());
        if let Some(body) = body
            && let Some((_, first)) = self.results.insert(body, (position, id))
        {
            return Err(broken("P6", format!("{body:?} is the result of {first} and of {id}")));
        }
        match settled {
            Some(by) => self.settled(id, hold, by.lease, by.kind, state, None),
            None if hold.is_none() || state >= TaskState::Cancelled || has_crashed => Ok(()),
            None => Err(broken("P4", format!("{id} ended as {state:?} in the hands of another's lease"))),
        }
    }

    fn settled(
        &mut self,
        task: TaskId,
        hold: Option<LeaseId>,
        lease: LeaseId,
        kind: SettlementKind,
        state: TaskState,
        due_at: Option<Timestamp>,
    ) -> Result<(), Violation> {
        if hold != Some(lease) {
            return Err(broken("P4", format!("{task} was settled by {lease}, which does not hold it")));
        }
        if let Some(known) = self.leases.get_mut(&lease) {
            known.settled = Some(LeaseSettlement { entry: self.position, kind, state, due_at });
        }
        Ok(())
    }

    fn forget(&mut self, id: TaskId) -> Result<(), Violation> {
        let clock = self.clock;
        let end = self.tasks.remove(&id).and_then(|task| task.end);
        self.gone.insert(id);
        match end {
            Some(end) if end.record.kept_until <= clock => Ok(()),
            Some(end) => {
                let until = end.record.kept_until;
                Err(broken(
                    "P2",
                    format!("{id} was to be kept until {until:?}, and is forgotten at {clock:?}"),
                ))
            }
            None => Err(broken("P2", format!("{id} is forgotten and has not ended"))),
        }
    }

    fn unfinished(&mut self, id: TaskId) -> Result<&mut JournaledTask, Violation> {
        match self.tasks.get_mut(&id) {
            Some(task) if task.end.is_none() => Ok(task),
            Some(task) => Err(broken("tasks", format!("{id} goes on though it has ended: {task:?}"))),
            None => Err(broken("tasks", format!("{id} goes on and was never accepted"))),
        }
    }
}

fn broken(promise: &'static str, what: String) -> Violation {
    Violation::new(promise, what)
}

#[cfg(test)]
mod tests {
    use broker::TaskReturned;
    use bytes::BytesMut;
    use field_table::Table;

    use super::*;
    use crate::client::name;

    const ID: TaskId = TaskId::from_bytes([1; 16]);
    const OTHER: TaskId = TaskId::from_bytes([2; 16]);
    const QUEUE: QueueNumber = QueueNumber(1);

    /// What the reader says of entries of one record each, behind the declaration of the queue.
    fn read(records: &[Record]) -> Result<(), &'static str> {
        let arguments: Table = [(name("x-task-queue"), Value::Bool(true))].into_iter().collect();
        let queue = name("jobs");
        let declared =
            QueueDefinition { number: QUEUE, name: queue, durable: true, auto_delete: false, arguments };
        let mut tasks = JournaledTasks::default();
        for record in [&Record::QueueDeclared(declared)].into_iter().chain(records) {
            let mut entry = BytesMut::new();
            record.write(&mut entry);
            tasks.read(&entry.freeze(), |_| ()).map_err(|violation| violation.promise)?;
        }
        Ok(())
    }

    fn accepted(id: TaskId, time: u64, key: Option<&str>) -> Record {
        let key = key.map(|key| {
            let (user, key, until) = (name("guest"), name(key), Timestamp(time + 100));
            Box::new(broker::TaskKey { user, key, fingerprint: [0; 32], until, tasks: vec![id] })
        });
        Record::TaskAccepted(Box::new(TaskAccepted {
            id,
            queue: QUEUE,
            sequence: 0,
            time: Timestamp(time),
            name: name(""),
            due_at: None,
            start_before: None,
            deadline: None,
            result_ttl_ms: None,
            max_attempts: 1,
            expects_reply: false,
            reply: None,
            key,
        }))
    }

    fn leased(lease: u8, epoch: u64) -> Record {
        let (lease, worker) = (LeaseId::from_bytes([lease; 16]), name("w"));
        Record::TaskLeased(TaskLeased { task: ID, lease, epoch, time: Timestamp(1), lease_ms: 10, worker })
    }

    fn released(lease: u8) -> Record {
        let settled =
            broker::SettledBy { lease: LeaseId::from_bytes([lease; 16]), kind: SettlementKind::Release };
        Record::TaskReturned(TaskReturned {
            task: ID,
            attempts: 0,
            crashes: 0,
            releases: 1,
            due_at: None,
            settled: Some(settled),
        })
    }

    #[test]
    fn a_key_is_taken_once_in_its_time() {
        assert_eq!(read(&[accepted(ID, 1, Some("k")), accepted(OTHER, 101, Some("k"))]), Ok(()));
        assert_eq!(read(&[accepted(ID, 1, Some("k")), accepted(OTHER, 2, Some("other"))]), Ok(()));
        assert_eq!(read(&[accepted(ID, 1, Some("k")), accepted(OTHER, 100, Some("k"))]), Err("P3"));
    }

    #[test]
    fn a_task_is_leased_to_one_at_a_time_with_growing_epochs() {
        let task = accepted(ID, 1, None);
        let twice = |second: Record| read(&[task.clone(), leased(1, 5), released(1), second]);
        assert_eq!(twice(leased(2, 6)), Ok(()));
        assert_eq!(twice(leased(2, 5)), Err("P4"));
        assert_eq!(twice(leased(1, 6)), Err("P4"), "the same lease");
        assert_eq!(read(&[task.clone(), leased(1, 5), leased(2, 6)]), Err("P4"));
        assert_eq!(read(&[task, leased(1, 5), released(2)]), Err("P4"), "somebody else settles");
    }

    #[test]
    fn what_waits_is_not_forgotten() {
        let forgotten = Record::TasksForgotten { tasks: vec![ID] };
        assert_eq!(read(&[accepted(ID, 1, None), forgotten]), Err("P2"));
        assert_eq!(read(&[leased(1, 5)]), Err("tasks"), "never accepted");
    }
}
