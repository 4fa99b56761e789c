//! Consumers start.

use amqp_wire::basic;

use super::{CALLS, FLOOD, WORK};
use crate::client::{Consumer, Request, Turn, name};
use crate::operations::declare_queue::any_queue;

/// Consumes work, from one of its queues. With settlements: otherwise nobody could say whether a message that was on
/// its way when the process ended is gone.
pub fn work(turn: &mut Turn<'_>) {
    let queue = *turn.random.pick(&WORK);
    start(turn, queue, false);
}

/// Drinks from the flood.
pub fn flood(turn: &mut Turn<'_>) {
    start(turn, FLOOD, true);
}

/// Takes questions.
pub fn calls(turn: &mut Turn<'_>) {
    start(turn, CALLS, false);
}

/// Consumes from a queue that may not be there.
pub fn own(turn: &mut Turn<'_>) {
    let queue = any_queue(turn);
    start(turn, &queue, true);
}

/// Consumes from such a queue alone, which is refused where others are.
pub fn alone(turn: &mut Turn<'_>) {
    let queue = any_queue(turn);
    // A tag tells the queue, and is used for no other.
    let tag = format!("{queue}-alone");
    turn.channel().consumers.insert(tag.clone(), Consumer { queue: queue.clone(), no_ack: true });
    let consume = basic::Consume {
        queue: name(&queue),
        consumer_tag: name(&tag),
        no_ack: true,
        exclusive: true,
        ..basic::Consume::default()
    };
    turn.ask(Request::Consume(tag), consume);
}

/// Starts a consumer, unless there are some.
fn start(turn: &mut Turn<'_>, queue: &str, no_ack: bool) {
    let channel = turn.channel();
    let tag = format!("{queue}-{}", channel.consumers.len());
    if channel.consumers.len() >= 3 || channel.consumers.contains_key(&tag) {
        return;
    }
    channel.consumers.insert(tag.clone(), Consumer { queue: queue.to_owned(), no_ack });
    let consume =
        basic::Consume { queue: name(queue), consumer_tag: name(&tag), no_ack, ..basic::Consume::default() };
    turn.ask(Request::Consume(tag), consume);
}
