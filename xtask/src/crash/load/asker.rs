//! Askers: tasks sent over HTTP, each under a key of its own.

use anyhow::{Context, Result, bail};
use testkit::http::{HttpPeer, Request, Response};

use super::Shared;
use super::shared::count;
use crate::crash::topology::TASK_QUEUE;

/// Sends tasks until the connection ends.
pub(super) fn run(mut peer: HttpPeer, shared: &Shared) -> Result<()> {
    loop {
        let number = shared.tasks().next();
        send(&mut peer, shared, number)?;
    }
}

/// Sends one task and waits until it is accepted. Sent again, it is the same task.
pub(in crate::crash) fn send(peer: &mut HttpPeer, shared: &Shared, number: u64) -> Result<()> {
    let request = Request::post(format!("/v1/queues/{TASK_QUEUE}/tasks"))
        .header("Idempotency-Key", format!("task-{number}"))
        .json(format!(r#"{{"payload":{number}}}"#));
    let answer = peer.call(&request)?;
    // 200 says that it has ended already.
    if !matches!(answer.status, 200 | 202) {
        bail!("task {number} was answered {}: {}", answer.status, answer.text());
    }
    shared.tasks().on_accepted(number, id(&answer)?)?;
    count(&shared.counters.tasks);
    Ok(())
}

fn id(answer: &Response) -> Result<&str> {
    answer.header("task-id").context("an accepted task without an id")
}
