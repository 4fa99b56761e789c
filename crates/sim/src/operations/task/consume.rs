//! A worker of tasks begins.

use amqp_wire::basic;

use super::super::{JOBS, SMALL};
use crate::client::{Consumer, Request, Turn, name};
use crate::operations::move_token::select_transaction;

/// Begins, some of them with transactions.
pub fn begin(turn: &mut Turn<'_>) {
    if turn.random.percent(40) {
        select_transaction(turn);
    }
    let prefetch_count = *turn.random.pick(&[1, 1, 3, 20]);
    turn.ask(Request::Prefetch, basic::Qos { prefetch_size: 0, prefetch_count, global: false });
    some(turn);
}

/// Consumes one of the task queues.
pub fn some(turn: &mut Turn<'_>) {
    let queue = if turn.random.percent(75) { JOBS } else { SMALL };
    let no_ack = turn.random.percent(15);
    let channel = turn.channel();
    let tag = format!("{queue}-{}", channel.consumers.len());
    if channel.consumers.len() >= 2 || channel.consumers.contains_key(&tag) {
        return;
    }
    channel.consumers.insert(tag.clone(), Consumer { queue: queue.to_owned(), no_ack });
    let consume =
        basic::Consume { queue: name(queue), consumer_tag: name(&tag), no_ack, ..basic::Consume::default() };
    turn.ask(Request::Consume(tag), consume);
}
