//! Reads every queue from its head to its end after a restart, and lets the ledgers judge.

use amqp_wire::{basic, channel, queue};
use anyhow::Result;
use testkit::amqp::{Endpoint, Peer, short};

use super::body::{self, MessageId};
use super::breach::must;
use super::load::{Shared, mover::read_token, worker::read_number};
use super::topology::{EFFECT_QUEUE, MESSAGE_QUEUES, TOKEN_QUEUES};

/// What to do with the messages that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// All go back to their places.
    GiveBack,
    /// All are acknowledged. Tokens are given back anyway.
    Acknowledge,
}

/// Looks at everything; returns how many messages were there.
pub(super) fn audit(endpoint: &Endpoint, shared: &Shared, afterwards: Afterwards) -> Result<usize> {
    let mut peer = Peer::open(endpoint)?;
    let mut found_count = 0;
    let mut scratch = Vec::new();
    for (index, name) in MESSAGE_QUEUES.iter().enumerate() {
        let bodies = Reading::start(&mut peer, name)?.bodies;
        let found =
            bodies.iter().map(|body| message(name, body, &mut scratch)).collect::<Result<Vec<_>>>()?;
        found_count += found.len();
        let mut ledger = shared.queue(index);
        ledger.reconcile(&found)?;
        if afterwards == Afterwards::Acknowledge && !found.is_empty() {
            found.iter().for_each(|&id| ledger.on_ack(id));
            peer.send(CHANNEL, basic::Ack { delivery_tag: 0, multiple: true })?;
        }
        drop(ledger);
        close(&mut peer)?;
    }
    audit_tokens(&mut peer, shared)?;
    Ok(found_count)
}

fn audit_tokens(peer: &mut Peer, shared: &Shared) -> Result<()> {
    let mut found = Vec::new();
    for name in TOKEN_QUEUES {
        let bodies = Reading::start(peer, name)?.bodies;
        found.push(bodies.iter().map(|body| read_token(body)).collect::<Result<Vec<_>>>()?);
        close(peer)?;
    }
    let mut tokens = shared.tokens();
    let sum: usize = found.iter().map(Vec::len).sum();
    must!(sum == tokens.count() as usize, "{sum} tokens are there instead of {} (P6)", tokens.count());
    Ok(tokens.reconcile(&found)?)
}

/// Looks at the effects of tasks.
pub(super) fn audit_tasks(endpoint: &Endpoint, shared: &Shared) -> Result<()> {
    Ok(shared.tasks().reconcile(&effects(endpoint)?)?)
}

/// Looks at the effects of tasks when all of them have to be there; returns how many there are.
pub(super) fn audit_finished_tasks(endpoint: &Endpoint, shared: &Shared) -> Result<usize> {
    Ok(shared.tasks().finish(&effects(endpoint)?)?)
}

fn effects(endpoint: &Endpoint) -> Result<Vec<u64>> {
    let bodies = Reading::start(&mut Peer::open(endpoint)?, EFFECT_QUEUE)?.bodies;
    bodies.iter().map(|body| read_number(body)).collect()
}

const CHANNEL: u16 = 1;

/// All messages of one queue, unacknowledged, on an open channel.
struct Reading {
    bodies: Vec<Vec<u8>>,
}

impl Reading {
    fn start(peer: &mut Peer, name: &str) -> Result<Self> {
        peer.open_channel(CHANNEL)?;
        let ready = ready_count(peer, name)?;
        let _: basic::ConsumeOk =
            peer.call(CHANNEL, basic::Consume { queue: short(name), ..Default::default() })?;
        let mut bodies = Vec::new();
        for _ in 0..ready {
            bodies.push(peer.expect_delivery(CHANNEL)?.1.body);
        }
        let left = ready_count(peer, name)?;
        must!(left == 0, "{name}: {left} messages are left after all {ready} were delivered");
        Ok(Self { bodies })
    }
}

fn ready_count(peer: &mut Peer, name: &str) -> Result<u32> {
    let declare = queue::Declare { queue: short(name), passive: true, ..Default::default() };
    let declared: queue::DeclareOk = peer.call(CHANNEL, declare)?;
    Ok(declared.message_count)
}

fn close(peer: &mut Peer) -> Result<()> {
    let channel::CloseOk {} = peer.call(CHANNEL, channel::Close { reply_code: 200, ..Default::default() })?;
    Ok(())
}

fn message(name: &str, body: &[u8], scratch: &mut Vec<u8>) -> Result<MessageId> {
    let id = body::read(body, scratch);
    must!(id.is_some(), "{name}: a body of {} bytes is there that nobody sent", body.len());
    Ok(id.unwrap_or(MessageId { publisher: 0, number: 0 }))
}
