//! Making what all depend on, and looking through it in the end.

use amqp_wire::{basic, exchange, queue};

use super::{CALLS, FAN, FLOOD, PURGED, TOKEN_COUNT, TOKENS, WORK};
use crate::client::{Request, Turn, name};
use crate::operations::declare_queue::declare;

/// Makes queues and exchanges, and puts the tokens in place. On the auditor's first connection.
pub fn prepare(turn: &mut Turn<'_>) {
    for queue in WORK.iter().chain(&TOKENS).chain(&[PURGED, CALLS]) {
        declare(turn, queue, true);
    }
    declare(turn, FLOOD, false);
    let fan = exchange::Declare {
        exchange: name(FAN),
        kind: name("fanout"),
        durable: true,
        ..exchange::Declare::default()
    };
    turn.ask(Request::DeclareExchange(FAN.to_owned()), fan);
    for queue in &WORK[..2] {
        turn.ask(
            Request::BindQueue,
            queue::Bind { queue: name(queue), exchange: name(FAN), ..queue::Bind::default() },
        );
    }
    super::publish::select_confirm(turn);
    for _ in 0..TOKEN_COUNT {
        turn.publish(&crate::client::Publishing::to(TOKENS[0]));
    }
}

/// Takes the next message of the queue that is looked through.
pub fn next(turn: &mut Turn<'_>) {
    let Some(queue) = turn.client.audited.clone() else { return };
    if turn.channel().asked.is_empty() {
        let get = basic::Get { queue: name(&queue), no_ack: true };
        turn.ask(Request::Get { queue, no_ack: true }, get);
    }
}
