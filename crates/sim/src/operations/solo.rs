//! What a client does with the queue that it has to itself.

use amqp_wire::{basic, queue, tx};

use super::{SOLO, close_channel, declare_queue, move_token};
use crate::client::{Mode, Publishing, Request, Turn, name};
use crate::model::{Ending, Operation};

/// Requests that nothing was heard of, at most: each makes more states possible after a crash.
const PENDING_MAX: usize = 24;

/// Chooses what the channel is for, and makes the queue.
pub fn begin(turn: &mut Turn<'_>) {
    let transactional = turn.random.percent(40);
    note(turn, Operation::Open { transactional });
    // A publish without confirms is held back by a full disk, and nobody can say for how long.
    let is_confirmed = turn.random.percent(60) || turn.plan.faults.fill_disk_every > 0;
    match (transactional, is_confirmed) {
        (true, _) => move_token::select_transaction(turn),
        (false, true) => super::publish::select_confirm(turn),
        (false, false) => super::prefetch::some(turn),
    }
    declare(turn);
}

/// Publishes.
pub fn publish(turn: &mut Turn<'_>) {
    if is_busy(turn) {
        return;
    }
    let persistent = turn.random.percent(85);
    let queue = queue_of(turn);
    let (id, _) = turn.publish(&Publishing { persistent, ..Publishing::to(&queue) });
    note(turn, Operation::Publish(id, persistent));
}

/// Takes the first message.
pub fn get(turn: &mut Turn<'_>) {
    if is_busy(turn) || !exists(turn) {
        return;
    }
    let no_ack = turn.random.percent(20);
    let queue = queue_of(turn);
    note(turn, Operation::Get { no_ack });
    turn.ask(Request::Get { queue: queue.clone(), no_ack }, basic::Get { queue: name(&queue), no_ack });
}

/// Settles what it holds for sure.
pub fn settle(turn: &mut Turn<'_>) {
    // Only when every state that is possible agrees on what is held.
    let is_sure = turn.channel().asked.is_empty();
    let open = turn.client.solo.as_ref().map(|solo| solo.guess().open_tags()).unwrap_or_default();
    if !is_sure || open.is_empty() || is_busy(turn) {
        return;
    }
    let tag = *turn.random.pick(&open);
    let multiple = turn.random.percent(30);
    let ending = if turn.random.percent(60) { Ending::Removed } else { Ending::Requeued };
    note(turn, Operation::Settle { tag, multiple, ending });
    turn.settle(tag, multiple, ending);
}

/// Drops all ready messages.
pub fn purge(turn: &mut Turn<'_>) {
    if is_busy(turn) || !exists(turn) {
        return;
    }
    let queue = queue_of(turn);
    note(turn, Operation::Purge);
    turn.ask(Request::PurgeQueue(queue.clone()), queue::Purge { queue: name(&queue), no_wait: false });
}

/// Deletes the queue, and makes it again.
pub fn delete(turn: &mut Turn<'_>) {
    if is_busy(turn) {
        return;
    }
    let queue = queue_of(turn);
    note(turn, Operation::Delete);
    let delete = queue::Delete { queue: name(&queue), ..queue::Delete::default() };
    turn.ask(Request::DeleteQueue(queue), delete);
    declare(turn);
}

/// Makes the queue, or counts its messages.
pub fn declare(turn: &mut Turn<'_>) {
    let queue = queue_of(turn);
    note(turn, Operation::Declare);
    declare_queue::declare(turn, &queue, true);
}

/// Gives everything back.
pub fn recover(turn: &mut Turn<'_>) {
    if !is_busy(turn) {
        note(turn, Operation::Recover);
        super::recover::all(turn);
    }
}

/// Does what was collected.
pub fn commit(turn: &mut Turn<'_>) {
    if turn.channel().mode == Mode::Transaction && turn.channel().asked.is_empty() {
        note(turn, Operation::Commit);
        turn.ask(Request::Commit, tx::Commit {});
    }
}

/// Forgets what was collected.
pub fn rollback(turn: &mut Turn<'_>) {
    if turn.channel().mode == Mode::Transaction && turn.channel().asked.is_empty() {
        note(turn, Operation::Rollback);
        turn.ask(Request::Rollback, tx::Rollback {});
    }
}

/// Ends the channel; the next one begins anew.
pub fn reopen(turn: &mut Turn<'_>) {
    if turn.channel().asked.is_empty() && turn.channel().unconfirmed.is_empty() {
        close_channel::close(turn);
    }
}

fn note(turn: &mut Turn<'_>, operation: Operation) {
    turn.client.solo.iter_mut().for_each(|solo| solo.ask(operation.clone()));
}

fn is_busy(turn: &Turn<'_>) -> bool {
    turn.client.solo.as_ref().is_none_or(|solo| solo.pending() >= PENDING_MAX)
}

fn exists(turn: &Turn<'_>) -> bool {
    turn.client.solo.as_ref().is_some_and(|solo| solo.guess().exists())
}

fn queue_of(turn: &Turn<'_>) -> String {
    format!("{SOLO}{}", turn.client.number)
}
