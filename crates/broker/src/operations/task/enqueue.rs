//! A request adds tasks to a queue, all or none.

use crate::broker::{Broker, Reply, Request};
use crate::command::Publish;
use crate::effect::Answer;
use crate::operations::task::Origin;
use crate::operations::task::accept::KEY_TTL_MS;
use crate::output::Output;
use crate::room::Need;
use crate::standalone::{Enqueue, IdempotencyKey};
use crate::task::{TaskId, TaskKey, TaskOptions, Watcher};
use crate::{Envelope, QueueNumber, Refusal, Timestamp};

impl Broker {
    pub(crate) fn enqueue(&mut self, request: Request, enqueue: Enqueue, out: &mut Output) -> Reply {
        let number = self.usable_queue(request, &enqueue.queue)?;
        let Some(task_queue) = &self.queues[&number].tasks else {
            return Err(Refusal::NotATaskQueue { queue: enqueue.queue });
        };
        if let Some(key) = &enqueue.key
            && let Some(tasks) = self.tasks_of_key(request.now, number, key)?
        {
            self.counters.tasks_repeated += 1;
            return Ok(Some(self.enqueued(request, tasks, true, enqueue.watch)));
        }
        let room = task_queue.check_room(&enqueue.queue, enqueue.tasks.len() as u64);
        self.counters.tasks_refused_full += u64::from(room.is_err());
        room?;
        let options = enqueue.tasks.iter().map(|task| TaskOptions::read(task.properties()));
        let options: Vec<TaskOptions> = options.collect::<Result<_, _>>()?;
        let need = Need::of_new(&enqueue.tasks);
        self.take(request.session.connection, need, enqueue.tasks.len() as u64, out)?;
        let tasks = self.add_tasks(request.now, number, &enqueue, options, out);
        Ok(Some(self.enqueued(request, tasks, false, enqueue.watch)))
    }

    /// The tasks of an earlier request with this key.
    fn tasks_of_key(
        &self,
        now: Timestamp,
        queue: QueueNumber,
        key: &IdempotencyKey,
    ) -> Result<Option<Vec<TaskId>>, Refusal> {
        let Some(task) = self.tasks.of_key(queue, &key.user, &key.key, now) else { return Ok(None) };
        let first = task.accepted.id;
        let Some(known) = &task.accepted.key else { return Ok(None) };
        if known.fingerprint != key.fingerprint {
            return Err(Refusal::KeyReused { key: key.key.clone(), task: first });
        }
        Ok(Some(known.tasks.clone()))
    }

    fn add_tasks(
        &mut self,
        now: Timestamp,
        number: QueueNumber,
        enqueue: &Enqueue,
        options: Vec<TaskOptions>,
        out: &mut Output,
    ) -> Vec<TaskId> {
        let ids: Vec<TaskId> = options.iter().map(|_| self.new_task_id(now)).collect();
        let mut key = enqueue.key.as_ref().map(|key| {
            Box::new(TaskKey {
                user: key.user.clone(),
                key: key.key.clone(),
                fingerprint: key.fingerprint,
                until: Timestamp(now.0 + KEY_TTL_MS),
                tasks: ids.clone(),
            })
        });
        for ((envelope, mut options), id) in enqueue.tasks.iter().zip(options).zip(&ids) {
            options.id = Some(*id);
            if enqueue.key.is_some() {
                // All tasks of the request outlive its key, to be found when it is repeated.
                options.result_ttl_ms = options.result_ttl_ms.map(|ttl_ms| ttl_ms.max(KEY_TTL_MS));
            }
            let origin = Origin { expects_reply: enqueue.expects_reply, key: key.take() };
            self.add_task(now, number, envelope, &options, origin, out);
        }
        ids
    }

    /// Puts one message into one queue, as a task if the queue is a task queue.
    pub(crate) fn add_task(
        &mut self,
        now: Timestamp,
        number: QueueNumber,
        envelope: &Envelope,
        options: &TaskOptions,
        origin: Origin,
        out: &mut Output,
    ) {
        let publish =
            Publish { envelope: envelope.clone(), mandatory: false, persistent: true, headers: None };
        self.counters.published += 1;
        self.counters.routed += 1;
        let sequence = self.queues[&number].strand.next_sequence();
        self.store_message(now, &publish, &[number], out);
        if self.queues[&number].tasks.is_some() {
            self.accept_task(now, number, sequence, options, origin, out);
        }
    }

    fn enqueued(&mut self, request: Request, tasks: Vec<TaskId>, replayed: bool, watch: bool) -> Answer {
        if watch && let Some(first) = tasks.first() {
            let watcher =
                Watcher { lane: request.session, request: request.tag, since: None, with_result: true };
            self.add_watcher(*first, watcher);
        }
        let views = tasks.iter().filter_map(|id| self.task_view(*id)).collect();
        Answer::Enqueued { tasks: views, replayed }
    }
}
