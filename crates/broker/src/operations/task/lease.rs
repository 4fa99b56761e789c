//! Workers take tasks by lease, at once or when there are some.

use crate::broker::{Broker, Reply, Request};
use crate::effect::{Answer, Effect, Recipient};
use crate::message::Offered;
use crate::output::Output;
use crate::record::Record;
use crate::standalone::Lease;
use crate::task::{Grant, Pull, TaskId, TaskLeased};
use crate::{QueueNumber, Refusal, RequestTag, Timestamp};

/// Bytes of messages in one answer; the task that reaches them is the last.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;

impl Broker {
    pub(crate) fn lease(&mut self, request: Request, lease: Lease, out: &mut Output) -> Reply {
        let number = self.usable_queue(request, &lease.queue)?;
        let queue = &mut self.queues[&number];
        let has_ready = queue.strand.ready().messages > 0;
        let Some(tasks) = &mut queue.tasks else { return Err(Refusal::NotATaskQueue { queue: lease.queue }) };
        let Lease { max, lease_ms, worker, wait, .. } = lease;
        let pull = Pull { lane: request.session, request: request.tag, max, lease_ms, worker };
        if !has_ready && !wait {
            return Ok(Some(Answer::LeasesGranted { count: 0 }));
        }
        // Whoever waits already comes first.
        tasks.pulls.push_back(pull);
        if let Some(connection) = self.connections.get_mut(&request.session.connection) {
            connection.pulls.insert(request.tag, number);
        }
        self.dispatch_tasks(request.now, number, out);
        if !wait && self.take_pull(request, request.tag).is_some() {
            return Ok(Some(Answer::LeasesGranted { count: 0 }));
        }
        Ok(None)
    }

    pub(crate) fn stop_leasing(&mut self, request: Request, waiting: RequestTag, out: &mut Output) {
        if let Some(pull) = self.take_pull(request, waiting) {
            answer_pull(&pull, 0, out);
        }
    }

    /// Gives tasks to the worker that has waited longest. False if none waits.
    pub(crate) fn serve_pull(&mut self, now: Timestamp, number: QueueNumber, out: &mut Output) -> bool {
        let Some(queue) = self.queues.get_mut(&number) else { return false };
        let Some(tasks) = &mut queue.tasks else { return false };
        let Some(pull) = tasks.pulls.pop_front() else { return false };
        tasks.pull_was_last = true;
        if let Some(connection) = self.connections.get_mut(&pull.lane.connection) {
            connection.pulls.remove(&pull.request);
        }
        let (mut count, mut bytes) = (0, 0);
        while count < pull.max && bytes < ANSWER_BYTES && self.end_overdue_tasks(now, number, out) {
            let Some(queue) = self.queues.get_mut(&number) else { break };
            let Some(offered) = queue.strand.offer() else { break };
            let Some(id) = self.tasks.of_message(number, offered.sequence) else { break };
            // A task that has crashed a worker is given alone, so that it takes no others with it.
            let has_crashed = self.tasks.get(id).is_some_and(|task| task.crashes > 0);
            if has_crashed && count > 0 {
                queue.strand.unhold(offered.sequence);
                break;
            }
            bytes += u64::from(offered.slot.stored().stored_bytes);
            self.grant(now, &pull, id, &offered, out);
            count += 1;
            if has_crashed {
                break;
            }
        }
        answer_pull(&pull, count, out);
        true
    }

    /// Lets those go who wait for tasks of a queue that is about to go.
    pub(crate) fn dismiss_pulls(&mut self, number: QueueNumber, out: &mut Output) {
        let Some(tasks) = self.queues.get_mut(&number).and_then(|queue| queue.tasks.as_mut()) else { return };
        for pull in std::mem::take(&mut tasks.pulls) {
            if let Some(connection) = self.connections.get_mut(&pull.lane.connection) {
                connection.pulls.remove(&pull.request);
            }
            answer_pull(&pull, 0, out);
        }
    }

    fn grant(&mut self, now: Timestamp, pull: &Pull, id: TaskId, offered: &Offered, out: &mut Output) {
        let Some((epoch, lease)) = self.next_hold(id) else { return };
        let worker = pull.worker.clone();
        let leased = TaskLeased { task: id, lease, epoch, time: now, lease_ms: pull.lease_ms, worker };
        out.record(&Record::TaskLeased(leased.clone()));
        self.apply_task_leased(leased);
        self.counters.leases_granted += 1;
        self.counters.delivered(offered.redelivered);
        self.tell_watchers(id, out);
        let Some(task) = self.task_view(id) else { return };
        let expires_at = Timestamp(now.0 + pull.lease_ms);
        let grant = Box::new(Grant { lease, expires_at, task });
        let effect = Effect::Leased { request: pull.request, grant, message: offered.slot.stored() };
        out.effect(Recipient::Session(pull.lane), out.position(), effect);
    }

    fn take_pull(&mut self, request: Request, tag: RequestTag) -> Option<Pull> {
        let connection = self.connections.get_mut(&request.session.connection)?;
        let number = connection.pulls.remove(&tag)?;
        let tasks = self.queues.get_mut(&number)?.tasks.as_mut()?;
        let of_request =
            |pull: &Pull| pull.lane.connection == request.session.connection && pull.request == tag;
        let at = tasks.pulls.iter().position(of_request)?;
        tasks.pulls.remove(at)
    }
}

fn answer_pull(pull: &Pull, count: u32, out: &mut Output) {
    let answer = Answer::LeasesGranted { count };
    out.effect(
        Recipient::Session(pull.lane),
        out.position(),
        Effect::Answered { request: pull.request, answer },
    );
}
