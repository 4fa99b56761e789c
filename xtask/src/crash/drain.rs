//! Works off what the rounds have left, so that each task can be asked for its effect.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::amqp::{Endpoint, Peer};
use testkit::http::{HttpPeer, Request};

use super::breach::must;
use super::load::{Ending, Shared, asker, worker};
use super::topology::TASK_QUEUE;

const TIME_MAX: Duration = Duration::from_secs(120);

/// Sends all tasks again that were not answered, and does all that are left.
pub(super) fn drain(endpoint: &Endpoint, http_address: &str, shared: &Shared) -> Result<()> {
    shared.set_ending(Ending::NotYet);
    let mut http = HttpPeer::open(http_address)?;
    while let Some(number) = { shared.tasks().next_repeated() } {
        asker::send(&mut http, shared, number)?;
    }
    let mut peer = Peer::open(endpoint)?;
    worker::start(&mut peer)?;
    let started = Instant::now();
    while started.elapsed() < TIME_MAX {
        match peer.receive_within(Duration::from_millis(100))? {
            Some(incoming) => {
                let content = incoming.content.clone().unwrap_or_default();
                let (deliver, _) = incoming.delivery().context("something else than a task")?;
                worker::settle(&mut peer, shared, deliver, &content)?;
            }
            None if unfinished(&mut http)? == 0 => return Ok(()),
            None => {}
        }
    }
    bail!("{} tasks are left after {} s", unfinished(&mut http)?, TIME_MAX.as_secs())
}

/// How many tasks have not ended. None may have failed: the death of the broker is nobody's fault.
fn unfinished(http: &mut HttpPeer) -> Result<u64> {
    let answer = http.call(&Request::get(format!("/v1/queues/{TASK_QUEUE}")))?;
    let queue: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let number = |name: &str| queue[name].as_u64().with_context(|| format!("no {name} in {queue}"));
    must!(number("failed")? == 0, "{} tasks have failed, and none was told to", number("failed")?);
    Ok(number("ready")? + number("running")? + number("scheduled")?)
}
