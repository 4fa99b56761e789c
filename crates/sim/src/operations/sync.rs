//! A question whose answer rests on everything before it.

use amqp_wire::queue;

use super::WORK;
use crate::client::{Request, Turn, name};

/// Asks whether a queue is there.
pub fn ask(turn: &mut Turn<'_>) {
    let queue = WORK[0];
    let declare = queue::Declare { queue: name(queue), passive: true, ..queue::Declare::default() };
    turn.ask(Request::DeclareQueue(queue.to_owned()), declare);
}
