//! One message is asked for.

use amqp_wire::basic;

use super::WORK;
use crate::client::{Request, Turn, name};

/// Asks for work.
pub fn work(turn: &mut Turn<'_>) {
    let queue = *turn.random.pick(&WORK);
    turn.ask(
        Request::Get { queue: queue.to_owned(), no_ack: false },
        basic::Get { queue: name(queue), no_ack: false },
    );
}
