//! A worker keeps its lease, or settles it: done, failed, or given back.

use bytes::Bytes;

use crate::broker::{Broker, Reply, Request};
use crate::effect::Answer;
use crate::operations::task::return_to_queue::FailedAttempt;
use crate::operations::task::{Ending, Origin};
use crate::output::Output;
use crate::room::Need;
use crate::standalone::{Complete, Fail};
use crate::task::{
    Holder, LeaseId, Phase, ReplyOutcome, Retry, SettledBy, SettlementKind, TaskId, TaskOptions,
};
use crate::{QueueNumber, Refusal, Resource, Settlement, Timestamp};

/// What is published beside a result: where, with which options, as which task.
struct Addition {
    queue: QueueNumber,
    options: TaskOptions,
    task: Option<TaskId>,
}

impl Broker {
    pub(crate) fn extend_lease(
        &mut self,
        request: Request,
        lease: LeaseId,
        lease_ms: Option<u64>,
        progress: Option<Bytes>,
        out: &mut Output,
    ) -> Reply {
        let Some(id) = self.task_held_by(lease) else {
            return match self.is_orphan(lease) {
                true => Ok(Some(Answer::LeaseExtended { expires_at: request.now, cancelled: true })),
                false => Err(self.lease_lost(lease)),
            };
        };
        let mut until = request.now;
        self.change_task(id, |task| {
            if progress.is_some() {
                task.progress = progress;
            }
            if let Phase::Running(run) = &mut task.phase
                && let Holder::Lease { expires_at, lease_ms: asked_ms, .. } = &mut run.holder
            {
                *expires_at = Timestamp(request.now.0 + lease_ms.unwrap_or(*asked_ms));
                until = *expires_at;
            }
        });
        self.tell_watchers(id, out);
        Ok(Some(Answer::LeaseExtended { expires_at: until, cancelled: false }))
    }

    pub(crate) fn complete(&mut self, request: Request, complete: Complete, out: &mut Output) -> Reply {
        let Complete { lease, status, result, publish } = complete;
        let id = match self.holder_or_repeat(lease, SettlementKind::Complete)? {
            Held::By(id) => id,
            Held::Before(answer) => return Ok(Some(Answer::Settled(Box::new(answer)))),
        };
        let additions = self.check_additions(request, id, &publish)?;
        let mut need = Need::of_new(&publish);
        result.iter().for_each(|result| need.add(Need::of_result(result)));
        self.take(request.session.connection, need, 1, out)?;
        let is_error = status.is_some_and(|status| status >= ReplyOutcome::ERROR_STATUS_MIN);
        let ending = if is_error {
            Ending::failed(status, result.as_ref())
        } else {
            Ending::succeeded(status, result.as_ref())
        };
        let settled = Some(SettledBy { lease, kind: SettlementKind::Complete });
        let published = additions.iter().map(|addition| addition.task).collect();
        self.end_task(request.now, id, Ending { settled, published, ..ending }, out);
        for (addition, envelope) in additions.iter().zip(&publish) {
            let options = &addition.options;
            self.add_task(request.now, addition.queue, envelope, options, Origin::default(), out);
            self.to_dispatch.push_back(addition.queue);
        }
        Ok(self.settled(id))
    }

    pub(crate) fn fail(&mut self, request: Request, fail: Fail, out: &mut Output) -> Reply {
        let Fail { lease, status, error, retry, delay_ms } = fail;
        let id = match self.holder_or_repeat(lease, SettlementKind::Fail)? {
            Held::By(id) => id,
            Held::Before(answer) => return Ok(Some(Answer::Settled(Box::new(answer)))),
        };
        self.take(request.session.connection, Need::of_result(&error), 1, out)?;
        let settled = Some(SettledBy { lease, kind: SettlementKind::Fail });
        let retry = Retry::asked_for(retry, delay_ms);
        self.fail_attempt(
            request.now,
            id,
            FailedAttempt { retry, status, error: Some(&error), settled },
            out,
        );
        Ok(self.settled(id))
    }

    pub(crate) fn release(
        &mut self,
        request: Request,
        lease: LeaseId,
        delay_ms: u64,
        out: &mut Output,
    ) -> Reply {
        let id = match self.holder_or_repeat(lease, SettlementKind::Release)? {
            Held::By(id) => id,
            Held::Before(answer) => return Ok(Some(Answer::Settled(Box::new(answer)))),
        };
        let settled = Some(SettledBy { lease, kind: SettlementKind::Release });
        self.release_task(request.now, id, delay_ms, settled, out);
        Ok(self.settled(id))
    }

    /// The task that the lease holds, or what its holder was answered when it settled it in this way before.
    fn holder_or_repeat(&mut self, lease: LeaseId, kind: SettlementKind) -> Result<Held, Refusal> {
        if let Some(id) = self.task_held_by(lease) {
            return Ok(Held::By(id));
        }
        let task = self.tasks.of_lease(lease).and_then(|id| self.tasks.get(id));
        let settled = task.and_then(|task| task.last_settlement.as_ref()).filter(|last| last.lease == lease);
        match settled {
            Some(last) if last.kind == kind => Ok(Held::Before(last.answer.clone())),
            Some(last) => Err(Refusal::LeaseSettled { task: last.answer.task, state: last.answer.state }),
            None => {
                self.counters.task_settlements_late += 1;
                Err(self.lease_lost(lease))
            }
        }
    }

    /// Everything that is to be published beside a result has to be possible before anything is done.
    fn check_additions(
        &mut self,
        request: Request,
        ends: TaskId,
        publish: &[crate::Envelope],
    ) -> Result<Vec<Addition>, Refusal> {
        let mut additions: Vec<Addition> = Vec::new();
        for envelope in publish {
            let key = envelope.routing_key();
            let queue = self.queue_names.get(key).copied().filter(|number| {
                self.queues.get(number).is_some_and(|queue| !queue.is_locked_for(request.session.connection))
            });
            let missing = || Refusal::NotFound(Resource::Queue(key.try_into().unwrap_or_default()));
            let queue = queue.ok_or_else(missing)?;
            let mut options = TaskOptions::read(envelope.properties())?;
            let mut task = None;
            if let Some(tasks) = &self.queues[&queue].tasks {
                let before = additions.iter().filter(|other| other.queue == queue).count() as u64;
                // The task that ends leaves its place.
                let left = u64::from(self.tasks.get(ends).is_some_and(|task| task.accepted.queue == queue));
                tasks.check_room(&self.queues[&queue].definition.name, before + 1 - left)?;
                task = Some(self.new_task_id(request.now));
                options.id = task;
            }
            additions.push(Addition { queue, options, task });
        }
        Ok(additions)
    }

    fn settled(&self, id: TaskId) -> Option<Answer> {
        let settlement = self.tasks.get(id)?.last_settlement.as_ref()?;
        Some(Answer::Settled(Box::new(settlement.answer.clone())))
    }

    fn is_orphan(&self, lease: LeaseId) -> bool {
        let task = self.tasks.of_lease(lease).and_then(|id| self.tasks.get(id));
        task.and_then(|task| task.end()).is_some_and(|end| end.orphan == Some(lease))
    }

    fn lease_lost(&self, lease: LeaseId) -> Refusal {
        let task = self.tasks.of_lease(lease).and_then(|id| self.tasks.get(id));
        Refusal::LeaseLost {
            task: task.map(|task| task.accepted.id),
            now: task.map(|task| (task.state(), task.epoch)),
        }
    }
}

/// What a lease is good for.
enum Held {
    /// It holds this task.
    By(TaskId),
    /// It held a task, and this was answered when it was settled.
    Before(Settlement),
}
