//! Somebody waits for a task: to end, or to change.

use crate::broker::{Broker, Reply, Request};
use crate::effect::{Effect, Recipient};
use crate::output::Output;
use crate::standalone::Until;
use crate::task::{TaskId, TaskView, Watcher};
use crate::{ConnectionId, Refusal, RequestTag};

impl Broker {
    pub(crate) fn watch(
        &mut self,
        request: Request,
        task: TaskId,
        until: Until,
        with_result: bool,
        out: &mut Output,
    ) -> Reply {
        if self.tasks.get(task).is_none() {
            return Err(Refusal::NoSuchTask { task });
        }
        let since = match until {
            // Every version is above none.
            Until::Now => return self.tell(request, task, with_result, out),
            Until::Changed { since } => Some(since),
            Until::Ended => None,
        };
        let watcher = Watcher { lane: request.session, request: request.tag, since, with_result };
        self.add_watcher(task, watcher);
        self.tell_watchers(task, out);
        Ok(None)
    }

    pub(crate) fn stop_watching(&mut self, request: Request, watch: RequestTag) {
        let Some(connection) = self.connections.get_mut(&request.session.connection) else { return };
        let Some(id) = connection.watches.remove(&watch) else { return };
        let Some(task) = self.tasks.get_mut(id) else { return };
        let of_request =
            |other: &Watcher| other.lane.connection == request.session.connection && other.request == watch;
        task.watchers.retain(|other| !of_request(other));
        // A crowd that has left need not be remembered.
        task.watchers.shrink_to_fit();
    }

    /// A connection is gone, and with it all that its requests wait for.
    pub(crate) fn forget_requests(&mut self, connection: ConnectionId) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let (watches, pulls) = (std::mem::take(&mut state.watches), std::mem::take(&mut state.pulls));
        for id in watches.into_values() {
            if let Some(task) = self.tasks.get_mut(id) {
                task.watchers.retain(|watcher| watcher.lane.connection != connection);
            }
        }
        for number in pulls.into_values() {
            if let Some(tasks) = self.queues.get_mut(&number).and_then(|queue| queue.tasks.as_mut()) {
                tasks.pulls.retain(|pull| pull.lane.connection != connection);
            }
        }
    }

    pub(crate) fn add_watcher(&mut self, id: TaskId, watcher: Watcher) {
        let Some(connection) = self.connections.get_mut(&watcher.lane.connection) else { return };
        let Some(task) = self.tasks.get_mut(id) else { return };
        connection.watches.insert(watcher.request, id);
        task.watchers.push(watcher);
        // A task that ended before has nothing to come that would tell them.
        if task.end().is_some() {
            self.to_tell.push(id);
        }
    }

    /// Answers those who have waited for what the task is now.
    pub(crate) fn tell_watchers(&mut self, id: TaskId, out: &mut Output) {
        let Some(task) = self.tasks.get(id) else { return };
        if task.watchers.is_empty() {
            return;
        }
        let (has_ended, version) = (task.end().is_some(), self.version_of(task));
        let is_due = |watcher: &Watcher| has_ended || watcher.since.is_some_and(|since| version > since);
        let Some(task) = self.tasks.get_mut(id) else { return };
        let (due, waiting) = std::mem::take(&mut task.watchers).into_iter().partition(is_due);
        task.watchers = waiting;
        let due: Vec<Watcher> = due;
        for watcher in due {
            if let Some(connection) = self.connections.get_mut(&watcher.lane.connection) {
                connection.watches.remove(&watcher.request);
            }
            let Some(view) = self.task_view(id) else { continue };
            let result = self.result_of(id, watcher.with_result);
            let effect = Effect::Task { request: watcher.request, view: Box::new(view), result };
            out.effect(Recipient::Session(watcher.lane), out.position(), effect);
        }
    }

    /// A task as it is now.
    pub(crate) fn task_view(&self, id: TaskId) -> Option<TaskView> {
        let task = self.tasks.get(id)?;
        let queue = self.queues.get(&task.accepted.queue)?.definition.name.clone();
        Some(TaskView { version: self.version_of(task), ..task.view(queue) })
    }

    fn tell(&mut self, request: Request, id: TaskId, with_result: bool, out: &mut Output) -> Reply {
        let Some(view) = self.task_view(id) else { return Err(Refusal::NoSuchTask { task: id }) };
        let result = self.result_of(id, with_result);
        let effect = Effect::Task { request: request.tag, view: Box::new(view), result };
        out.effect(Recipient::Session(request.session), out.position(), effect);
        Ok(None)
    }

    fn result_of(&self, id: TaskId, is_wanted: bool) -> Option<crate::StoredMessage> {
        self.tasks.get(id).filter(|_| is_wanted)?.end()?.result
    }

    /// Versions are not journaled: what has not changed since the boot counts as changed by the boot.
    fn version_of(&self, task: &crate::task::Task) -> u64 {
        task.version.max(self.boot << crate::task::Task::BOOT_BITS)
    }
}
