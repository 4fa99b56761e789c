//! Exchanges are deleted.

use amqp_wire::exchange;

use super::declare_exchange::any_exchange;
use crate::client::{Request, Turn, name};

/// Deletes an exchange that nobody else depends on.
pub fn own(turn: &mut Turn<'_>) {
    let exchange = any_exchange(turn);
    let if_unused = turn.random.percent(20);
    let delete = exchange::Delete { exchange: name(&exchange), if_unused, no_wait: false };
    turn.ask(Request::DeleteExchange(exchange), delete);
}
