//! Queues are deleted.

use amqp_wire::queue;

use super::declare_queue::any_queue;
use crate::client::{Request, Turn, name};

/// Deletes a queue that nobody else depends on.
pub fn own(turn: &mut Turn<'_>) {
    delete(turn, false);
}

/// Deletes it only if it is empty, and refused otherwise.
pub fn if_empty(turn: &mut Turn<'_>) {
    delete(turn, true);
}

fn delete(turn: &mut Turn<'_>, if_empty: bool) {
    let queue = any_queue(turn);
    let delete = queue::Delete { queue: name(&queue), if_unused: false, if_empty, no_wait: false };
    turn.ask(Request::DeleteQueue(queue), delete);
}
