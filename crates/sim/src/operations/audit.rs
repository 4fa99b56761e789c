//! Making what all depend on, and looking through it in the end.

use amqp_wire::{Table, Value, basic, exchange, queue};

use super::{BRIEF, CALLS, DONE, FAN, FLOOD, JOBS, NEXT, PURGED, SMALL, TOKEN_COUNT, TOKENS, WORK};
use crate::client::{Request, Turn, name};
use crate::operations::declare_queue::declare;

/// Unfinished tasks that the small queue takes.
const SMALL_LENGTH_MAX: i32 = 4;

/// Makes queues and exchanges, and puts the tokens in place. On the auditor's first connection.
pub fn prepare(turn: &mut Turn<'_>) {
    for queue in WORK.iter().chain(&TOKENS).chain(&[PURGED, CALLS, DONE, NEXT]) {
        declare(turn, queue, true);
    }
    declare(turn, FLOOD, false);
    declare_task_queue(turn, JOBS, &[]);
    declare_task_queue(turn, SMALL, &[("x-max-length", Value::I32(SMALL_LENGTH_MAX))]);
    let fan = exchange::Declare {
        exchange: name(FAN),
        kind: name("fanout"),
        durable: true,
        ..exchange::Declare::default()
    };
    turn.ask(Request::DeclareExchange(FAN.to_owned()), fan);
    for queue in &WORK[..2] {
        turn.ask(
            Request::BindQueue,
            queue::Bind { queue: name(queue), exchange: name(FAN), ..queue::Bind::default() },
        );
    }
    super::publish::select_confirm(turn);
    for _ in 0..TOKEN_COUNT {
        turn.publish(&crate::client::Publishing::to(TOKENS[0]));
    }
}

fn declare_task_queue(turn: &mut Turn<'_>, queue: &str, more: &[(&str, Value)]) {
    let more = more.iter().map(|(argument, value)| (name(argument), value.clone()));
    let arguments: Table = [(name("x-task-queue"), Value::Bool(true))].into_iter().chain(more).collect();
    let declare =
        queue::Declare { queue: name(queue), durable: true, arguments, ..queue::Declare::default() };
    turn.ask(Request::DeclareQueue(queue.to_owned()), declare);
}

/// Deletes the task queues, with all that is left in them.
pub fn clear_away(turn: &mut Turn<'_>) {
    for queue in [JOBS, SMALL, BRIEF] {
        turn.ask(
            Request::DeleteQueue(queue.to_owned()),
            queue::Delete { queue: name(queue), ..queue::Delete::default() },
        );
    }
}

/// Takes the next message of the queue that is looked through.
pub fn next(turn: &mut Turn<'_>) {
    let Some(queue) = turn.client.audited.clone() else { return };
    if turn.channel().asked.is_empty() {
        let get = basic::Get { queue: name(&queue), no_ack: true };
        turn.ask(Request::Get { queue, no_ack: true }, get);
    }
}
