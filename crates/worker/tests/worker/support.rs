//! What the tests share.

use std::time::Duration;

use amqp_wire::{Properties, ShortString, Table, Value, basic};
use forebay_worker::{Cx, Fail, TaskType, Worker, WorkerError};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::scripted_broker::{Conversation, ScriptedBroker};

#[derive(Serialize, Deserialize)]
pub(crate) struct Add {
    pub(crate) a: i64,
    pub(crate) b: i64,
}

impl TaskType for Add {
    const NAME: &'static str = "add";
    const QUEUE: &'static str = "sums";
    type Output = i64;
}

pub(crate) async fn add(job: Add, _cx: Cx) -> Result<i64, Fail> {
    job.a.checked_add(job.b).ok_or_else(|| Fail::fatal("too large").status(422))
}

/// A worker that runs until it is told to end.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    worker: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub(crate) fn start(worker: Worker, grace: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        let told = async move {
            // A test that fails drops the sender, which ends the worker as well.
            let _ = stopped.await;
        };
        let worker = tokio::spawn(worker.shutdown(told, grace).run());
        Self { stop: Some(stop), worker }
    }

    pub(crate) fn tell_to_end(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn end(mut self) -> Result<(), WorkerError> {
        self.tell_to_end();
        self.worker.await.unwrap()
    }
}

/// The first queue's channel, and the worker's others.
pub(crate) const QUEUE: u16 = 3;
pub(crate) const RESULTS: u16 = 1;
pub(crate) const TRANSACTIONS: u16 = 2;

/// Takes a worker's connection until it consumes.
pub(crate) fn accept_worker(broker: &ScriptedBroker) -> Conversation {
    let mut worker = broker.accept(0);
    let _: basic::Consume = worker.expect(QUEUE);
    worker
}

/// What the broker says about a task when it delivers it.
pub(crate) fn task(name: &'static str) -> Properties {
    let headers: Table = [
        ("x-task-id", Value::text("0199c3f0-0000-7000-8000-000000000001")),
        ("x-attempt", Value::I64(2)),
        ("x-epoch", Value::I64(7)),
    ]
    .into_iter()
    .map(|(name, value)| (ShortString::from_static(name), value))
    .collect();
    Properties {
        kind: Some(ShortString::from_static(name)),
        reply_to: Some(ShortString::from_static("amq.task.reply.00000000000000000000000000000001")),
        correlation_id: Some(ShortString::from_static("c1")),
        headers: Some(headers),
        ..Properties::default()
    }
}

/// Delivers a task with this number.
pub(crate) fn deliver(worker: &mut Conversation, delivery_tag: u64, name: &'static str, body: &str) {
    worker.deliver(QUEUE, "worker", delivery_tag, &task(name), body.as_bytes());
}
