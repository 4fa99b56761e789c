//! Queues are declared.

use amqp_wire::queue;

use super::FLOOD;
use crate::client::{Request, Turn, name};

/// Declares a queue.
pub fn declare(turn: &mut Turn<'_>, queue: &str, durable: bool) {
    let declare = queue::Declare { queue: name(queue), durable, ..queue::Declare::default() };
    turn.ask(Request::DeclareQueue(queue.to_owned()), declare);
}

/// Declares the queue that does not survive.
pub fn flood(turn: &mut Turn<'_>) {
    declare(turn, FLOOD, false);
}

/// Declares a queue that nobody else depends on. Always in the same way, so that it is never refused.
pub fn own(turn: &mut Turn<'_>) {
    let queue = any_queue(turn);
    let declare = queue::Declare {
        durable: queue != "own2",
        auto_delete: queue == "own1",
        queue: name(&queue),
        ..queue::Declare::default()
    };
    turn.ask(Request::DeclareQueue(queue), declare);
}

/// Declares a queue in another way than it was declared: refused, if it is there.
pub fn otherwise(turn: &mut Turn<'_>) {
    let queue = any_queue(turn);
    let declare = queue::Declare {
        durable: queue == "own2",
        passive: turn.random.percent(50),
        queue: name(&queue),
        ..queue::Declare::default()
    };
    turn.ask(Request::DeclareQueue(queue), declare);
}

/// Declares a queue that belongs to the connection, with a name of the server's choice or one that others want too.
pub fn exclusive(turn: &mut Turn<'_>) {
    let queue =
        if turn.random.percent(50) { String::new() } else { format!("exclusive{}", turn.random.below(2)) };
    let declare = queue::Declare { queue: name(&queue), exclusive: true, ..queue::Declare::default() };
    turn.ask(Request::DeclareQueue(queue), declare);
}

/// One of the queues that come and go.
pub fn any_queue(turn: &mut Turn<'_>) -> String {
    format!("own{}", turn.random.below(4))
}
