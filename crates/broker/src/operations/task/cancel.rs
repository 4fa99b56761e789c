//! Somebody takes a task back.

use crate::broker::{Broker, Reply, Request};
use crate::effect::Answer;
use crate::operations::task::Ending;
use crate::output::Output;
use crate::task::TaskId;
use crate::{QueueNumber, Refusal, Timestamp};

impl Broker {
    pub(crate) fn cancel_task(&mut self, request: Request, id: TaskId, out: &mut Output) -> Reply {
        let Some(task) = self.tasks.get(id) else { return Err(Refusal::NoSuchTask { task: id }) };
        if let Some(end) = task.end() {
            return Err(Refusal::TaskEnded { task: id, state: end.state });
        }
        self.end_task(request.now, id, Ending::cancelled(), out);
        Ok(self.task_view(id).map(|view| Answer::Cancelled(Box::new(view))))
    }

    /// Purges a task queue: its ready tasks are cancelled. How many.
    pub(crate) fn cancel_ready_tasks(&mut self, now: Timestamp, queue: QueueNumber, out: &mut Output) -> u64 {
        let is_ready = |id: &TaskId| {
            self.tasks.get(*id).is_some_and(|task| task.end().is_none() && !task.is_kept_back())
        };
        let ready: Vec<TaskId> = self.tasks.on_queue(queue).map(|(_, id)| id).filter(is_ready).collect();
        for id in &ready {
            self.end_task(now, *id, Ending::cancelled(), out);
        }
        ready.len() as u64
    }

    /// Tells those who wait for a task of a queue that is about to go, and those who wait for its tasks.
    pub(crate) fn dismiss_waiters(&mut self, now: Timestamp, queue: QueueNumber, out: &mut Output) {
        let unfinished = |id: &TaskId| self.tasks.get(*id).is_some_and(|task| task.end().is_none());
        let unfinished: Vec<TaskId> =
            self.tasks.on_queue(queue).map(|(_, id)| id).filter(unfinished).collect();
        for id in unfinished {
            self.end_task(now, id, Ending::cancelled(), out);
        }
        self.dismiss_pulls(queue, out);
    }
}
