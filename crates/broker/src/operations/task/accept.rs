//! A message enters a task queue and becomes a task.

use crate::broker::Broker;
use crate::command::Publish;
use crate::effect::ReplyHead;
use crate::operations::publish::Accepted;
use crate::output::Output;
use crate::record::Record;
use crate::task::{TaskAccepted, TaskId, TaskKey, TaskOptions};
use crate::{QueueNumber, Refusal, SessionId, Timestamp};

/// Failed attempts after which a task is given up, if it does not say.
const MAX_ATTEMPTS: u32 = 10;
/// How long an idempotency key is known, in milliseconds.
pub(crate) const KEY_TTL_MS: u64 = 24 * 3_600_000;

/// What is known of a task beside its message.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// Somebody waits for a reply.
    pub(crate) expects_reply: bool,
    /// Under what a repeated request is known.
    pub(crate) key: Option<Box<TaskKey>>,
}

impl Broker {
    /// Takes a message whose targets have a task queue among them: refuses what makes no sense, leaves out queues that are full or
    /// have it already, and stores the rest.
    pub(crate) fn accept_tasks(
        &mut self,
        now: Timestamp,
        from: SessionId,
        publish: &Publish,
        routed: &mut Vec<QueueNumber>,
        out: &mut Output,
    ) -> Result<Accepted, Refusal> {
        let options = TaskOptions::read(publish.envelope.properties())?;
        let mut refusal = None;
        routed.retain(|number| {
            let Some(room) = self.room_for_task(*number) else { return true };
            if self.repeats_key(now, from, *number, &options, out) {
                return false;
            }
            let Err(full) = room else { return true };
            self.counters.tasks_refused_full += 1;
            refusal.get_or_insert_with(|| Box::new(full));
            false
        });
        if !routed.is_empty() {
            if let Err(refusal) = self.take_room(from.connection, publish, routed, out) {
                return Ok(Accepted::refused(refusal));
            }
            self.store(now, from, publish, routed, &options, out);
        }
        self.counters.routed += 1;
        // Also what was there before has to be safe when it is confirmed again.
        Ok(Accepted { safe_after: out.position(), refusal })
    }

    /// Makes a task of the message that has just entered a task queue.
    pub(crate) fn accept_task(
        &mut self,
        now: Timestamp,
        queue: QueueNumber,
        sequence: u64,
        options: &TaskOptions,
        origin: Origin,
        out: &mut Output,
    ) {
        let chosen = options.id.filter(|id| self.tasks.get(*id).is_none());
        let id = chosen.unwrap_or_else(|| self.new_task_id(now));
        let after = |delay_ms: u64| Timestamp(now.0.saturating_add(delay_ms));
        let reply = options
            .reply_to
            .clone()
            .map(|address| Box::new(ReplyHead { address, correlation_id: options.correlation_id.clone() }));
        let accepted = TaskAccepted {
            id,
            queue,
            sequence,
            time: now,
            name: options.name.clone(),
            due_at: Some(options.delay_ms).filter(|delay_ms| *delay_ms > 0).map(after),
            start_before: options.start_within_ms.map(after),
            deadline: options.finish_within_ms.map(after),
            result_ttl_ms: options.result_ttl_ms,
            max_attempts: options.max_attempts.unwrap_or(MAX_ATTEMPTS),
            expects_reply: origin.expects_reply || reply.is_some(),
            reply,
            key: origin.key,
        };
        out.record(&Record::TaskAccepted(Box::new(accepted.clone())));
        self.apply_task_accepted(accepted);
        self.counters.tasks_accepted += 1;
    }

    pub(crate) fn new_task_id(&mut self, now: Timestamp) -> TaskId {
        TaskId::new(now, self.tasks.random.draw())
    }

    /// Whether a task queue has room for one more; `None` for other queues.
    pub(crate) fn room_for_task(&self, number: QueueNumber) -> Option<Result<(), Refusal>> {
        let queue = self.queues.get(&number)?;
        Some(queue.tasks.as_ref()?.check_room(&queue.definition.name, 1))
    }

    /// The key of a published message, to be stored with its task.
    pub(crate) fn key_of_publish(
        &self,
        now: Timestamp,
        from: SessionId,
        options: &TaskOptions,
    ) -> Option<Box<TaskKey>> {
        let user = self.connections.get(&from.connection)?.user.clone();
        let key = options.key.clone()?;
        let until = Timestamp(now.0 + KEY_TTL_MS);
        Some(Box::new(TaskKey { user, key, fingerprint: [0; 32], until, tasks: Vec::new() }))
    }

    /// Whether the queue has the task of this key already. Then the publish counts as accepted, and who asks for a reply is
    /// attached to that task.
    fn repeats_key(
        &mut self,
        now: Timestamp,
        from: SessionId,
        queue: QueueNumber,
        options: &TaskOptions,
        out: &mut Output,
    ) -> bool {
        let Some(id) = self.task_of_key(now, from, queue, options) else { return false };
        self.counters.tasks_repeated += 1;
        self.reattach(id, options, out);
        true
    }

    /// The task that the queue has for the key of a publish.
    pub(crate) fn task_of_key(
        &self,
        now: Timestamp,
        from: SessionId,
        queue: QueueNumber,
        options: &TaskOptions,
    ) -> Option<TaskId> {
        let user = &self.connections.get(&from.connection)?.user;
        let task = self.tasks.of_key(queue, user, options.key.as_ref()?, now)?;
        Some(task.accepted.id)
    }
}
