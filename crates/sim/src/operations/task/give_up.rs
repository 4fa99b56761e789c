//! A task is not done.

use amqp_wire::{basic, hot};

use crate::client::Turn;

/// Not this time.
pub fn for_now(turn: &mut Turn<'_>) {
    let Some(tag) = turn.any_held() else { return };
    turn.let_go(tag);
    let number = turn.number;
    hot::nack(&mut turn.client.output, number, tag, false, true);
}

/// Never.
pub fn for_good(turn: &mut Turn<'_>) {
    let Some(tag) = turn.any_held() else { return };
    turn.let_go(tag);
    let number = turn.number;
    turn.client.send(number, basic::Reject { delivery_tag: tag, requeue: false });
}
