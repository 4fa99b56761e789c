//! The queues and exchanges of the workload.

use amqp_wire::hot::Publication;
use amqp_wire::{Table, Value, basic, exchange, queue};
use testkit::amqp::{Peer, PeerError, persistent, short};

use super::body::MessageId;

/// Queues for numbered messages.
pub(super) const LOAD_QUEUES: [&str; 3] = ["crash.load.0", "crash.load.1", "crash.load.2"];

/// Where consumers put receipts for what they acknowledged; one of the queues that the ledger of messages knows.
pub(super) const RECEIPT_QUEUE: usize = LOAD_QUEUES.len();

/// All queues with messages, by index.
pub(super) const MESSAGE_QUEUES: [&str; 4] =
    [LOAD_QUEUES[0], LOAD_QUEUES[1], LOAD_QUEUES[2], "crash.receipts"];

/// Queues between which tokens are moved.
pub(super) const TOKEN_QUEUES: [&str; 3] = ["crash.tokens.0", "crash.tokens.1", "crash.tokens.2"];

/// The task queue.
pub(super) const TASK_QUEUE: &str = "crash.tasks";

/// Where the effects of tasks go.
pub(super) const EFFECT_QUEUE: &str = "crash.effects";

/// A fanout exchange bound to all load queues.
const EVERYWHERE: &str = "crash.everywhere";

const EVERYWHERE_EVERY: u64 = 50;

/// Publishers with at least this number publish receipts.
pub(super) const FIRST_RECEIPT_PUBLISHER: u32 = 1000;

/// The queues that a message must reach, by index in [`MESSAGE_QUEUES`].
pub(super) fn destinations(id: MessageId) -> std::ops::Range<usize> {
    if id.publisher >= FIRST_RECEIPT_PUBLISHER {
        return RECEIPT_QUEUE..RECEIPT_QUEUE + 1;
    }
    if id.number.is_multiple_of(EVERYWHERE_EVERY) {
        return 0..LOAD_QUEUES.len();
    }
    let queue = (id.number % LOAD_QUEUES.len() as u64) as usize;
    queue..queue + 1
}

/// How to publish a message so that it reaches its [`destinations`].
pub(super) fn route(id: MessageId) -> Publication<'static> {
    let destinations = destinations(id);
    if destinations.len() > 1 {
        return Publication { exchange: EVERYWHERE.as_bytes(), routing_key: b"", mandatory: false };
    }
    Publication {
        exchange: b"",
        routing_key: MESSAGE_QUEUES[destinations.start].as_bytes(),
        mandatory: false,
    }
}

/// Declares everything afresh: what an earlier run left on the broker is deleted.
pub(super) fn declare(peer: &mut Peer) -> Result<(), PeerError> {
    peer.open_channel(1)?;
    let kind = short("fanout");
    let declare =
        exchange::Declare { exchange: short(EVERYWHERE), kind, durable: true, ..Default::default() };
    let exchange::DeclareOk {} = peer.call(1, declare)?;
    for name in MESSAGE_QUEUES.iter().chain(&TOKEN_QUEUES) {
        let _: queue::DeleteOk = peer.call(1, queue::Delete { queue: short(name), ..Default::default() })?;
        let declare = queue::Declare { queue: short(name), durable: true, ..Default::default() };
        let _: queue::DeclareOk = peer.call(1, declare)?;
    }
    for name in LOAD_QUEUES {
        let bind = queue::Bind { queue: short(name), exchange: short(EVERYWHERE), ..Default::default() };
        let queue::BindOk {} = peer.call(1, bind)?;
    }
    Ok(())
}

/// Declares what tasks need, on a broker that has tasks.
pub(super) fn declare_tasks(peer: &mut Peer) -> Result<(), PeerError> {
    let arguments: Table = [(short("x-task-queue"), Value::Bool(true))].into_iter().collect();
    for (name, arguments) in [(TASK_QUEUE, arguments), (EFFECT_QUEUE, Table::new())] {
        let declare = queue::Declare { queue: short(name), durable: true, arguments, ..Default::default() };
        let _: queue::DeclareOk = peer.call(1, declare)?;
    }
    Ok(())
}

/// Puts the tokens into the first token queue; they are durable when this returns.
pub(super) fn seed_tokens(peer: &mut Peer, count: u32) -> Result<(), PeerError> {
    peer.open_confirm_channel(2)?;
    let target = Publication { exchange: b"", routing_key: TOKEN_QUEUES[0].as_bytes(), mandatory: false };
    let properties = persistent();
    for token in 0..count {
        peer.publish(2, &target, &properties, &token.to_be_bytes())?;
    }
    let mut confirmed = 0;
    while confirmed < u64::from(count) {
        let ack: basic::Ack = peer.expect(2)?;
        confirmed = if ack.multiple { ack.delivery_tag } else { confirmed + 1 };
    }
    Ok(())
}
