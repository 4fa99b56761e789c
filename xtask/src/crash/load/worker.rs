//! Workers: a reply, a follow-up and an ack in one transaction, so that a task ends with its effect or not at all.

use amqp_wire::hot::Publication;
use amqp_wire::{Properties, Value, basic, tx};
use anyhow::{Context, Result, bail};
use testkit::amqp::{Content, Peer, persistent, short, transient};

use super::Shared;
use super::shared::count;
use crate::crash::topology::{EFFECT_QUEUE, TASK_QUEUE};

const CHANNEL: u16 = 1;

const PREFETCH: u16 = 5;

/// Works until the connection ends.
pub(super) fn run(mut peer: Peer, shared: &Shared) -> Result<()> {
    start(&mut peer)?;
    loop {
        let (deliver, content) = peer.expect_delivery(CHANNEL)?;
        settle(&mut peer, shared, &deliver, &content)?;
    }
}

/// Consumes tasks on a transactional channel.
pub(in crate::crash) fn start(peer: &mut Peer) -> Result<()> {
    peer.open_channel(CHANNEL)?;
    let tx::SelectOk {} = peer.call(CHANNEL, tx::Select {})?;
    let basic::QosOk {} =
        peer.call(CHANNEL, basic::Qos { prefetch_count: PREFETCH, ..Default::default() })?;
    let _: basic::ConsumeOk =
        peer.call(CHANNEL, basic::Consume { queue: short(TASK_QUEUE), ..Default::default() })?;
    Ok(())
}

/// Does one task and commits it.
pub(in crate::crash) fn settle(
    peer: &mut Peer,
    shared: &Shared,
    deliver: &basic::Deliver,
    content: &Content,
) -> Result<()> {
    let properties = Properties::decode(&content.properties).context("properties of a task")?;
    let number = read_number(&content.body)?;
    let headers = properties.headers.unwrap_or_default();
    let Some(Value::LongString(id)) = headers.get(b"x-task-id") else {
        bail!("task {number} came without its id: {headers:?}");
    };
    shared.stop_if_ending_gradually()?;
    shared.tasks().on_delivery(number, &String::from_utf8_lossy(id))?;
    let effect = Publication { exchange: b"", routing_key: EFFECT_QUEUE.as_bytes(), mandatory: false };
    peer.publish(CHANNEL, &effect, &persistent(), &content.body)?;
    let address = properties.reply_to.context("a task without an address for its reply")?;
    let reply = Publication { exchange: b"", routing_key: &address, mandatory: false };
    peer.publish(CHANNEL, &reply, &transient(), b"done")?;
    peer.send(CHANNEL, basic::Ack { delivery_tag: deliver.delivery_tag, multiple: false })?;
    let tx::CommitOk {} = peer.call(CHANNEL, tx::Commit {})?;
    shared.tasks().on_done(number)?;
    count(&shared.counters.done);
    Ok(())
}

/// The number in the body of a task or of its effect.
pub(in crate::crash) fn read_number(body: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(body).context("a body that is no text")?;
    text.parse().with_context(|| format!("a body that is no number: {text:?}"))
}
