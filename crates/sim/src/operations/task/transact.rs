//! A reply and what follows from it, wholly or not at all.

use amqp_wire::{hot, tx};

use super::super::{JOBS, NEXT, SMALL};
use super::answer::any_address;
use crate::client::{Mode, Publishing, Request, Turn};

/// Does a task, publishes what follows, and commits.
pub fn commit(turn: &mut Turn<'_>) {
    if turn.channel().mode != Mode::Transaction {
        return super::answer::with_result(turn);
    }
    work(turn);
    turn.ask(Request::Commit, tx::Commit {});
}

/// Does a task and thinks better of it.
pub fn roll_back(turn: &mut Turn<'_>) {
    if turn.channel().mode == Mode::Transaction && turn.channel().asked.is_empty() {
        work(turn);
        turn.ask(Request::Rollback, tx::Rollback {});
    }
}

fn work(turn: &mut Turn<'_>) {
    if let Some((tag, address)) = any_address(turn) {
        if turn.random.percent(70) {
            turn.publish(&Publishing::of_tasks_to(&address));
        }
        turn.let_go(tag);
        let number = turn.number;
        hot::ack(&mut turn.client.output, number, tag, false);
    }
    for _ in 0..turn.random.between(1, 3) {
        let queue = *turn.random.pick(&[NEXT, NEXT, JOBS, SMALL]);
        turn.publish(&Publishing::of_tasks_to(queue));
    }
}
