//! A task is acknowledged without a word.

use amqp_wire::hot;

use crate::client::Turn;

/// Acknowledges one.
pub fn some(turn: &mut Turn<'_>) {
    let Some(tag) = turn.any_held() else { return };
    turn.let_go(tag);
    let number = turn.number;
    hot::ack(&mut turn.client.output, number, tag, false);
}
