//! Replies and what follows from tasks are consumed.

use amqp_wire::basic;

use super::super::{DONE, NEXT};
use crate::client::{Consumer, Request, Turn, name};

/// Consumes both queues.
pub fn begin(turn: &mut Turn<'_>) {
    turn.ask(Request::Prefetch, basic::Qos { prefetch_size: 0, prefetch_count: 10, global: false });
    for queue in [DONE, NEXT] {
        let consumer = Consumer { queue: queue.to_owned(), no_ack: false };
        turn.channel().consumers.insert(queue.to_owned(), consumer);
        let consume =
            basic::Consume { queue: name(queue), consumer_tag: name(queue), ..basic::Consume::default() };
        turn.ask(Request::Consume(queue.to_owned()), consume);
    }
}
