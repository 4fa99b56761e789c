//! Tokens move from one queue to the other: taken, published and settled in one transaction.

use amqp_wire::{basic, tx};

use super::TOKENS;
use crate::client::{Heard, Mode, Publishing, Request, Turn, name};
use crate::model::Ending;

/// Makes the channel transactional.
pub fn select_transaction(turn: &mut Turn<'_>) {
    turn.channel().mode = Mode::Transaction;
    turn.ask(Request::SelectTransaction, tx::Select {});
}

/// Takes a token, if none is on its way.
pub fn take(turn: &mut Turn<'_>) {
    if !turn.channel().asked.is_empty() {
        return;
    }
    let from = turn.random.index(TOKENS.len());
    turn.client.moving_from = from;
    let request = Request::Get { queue: TOKENS[from].to_owned(), no_ack: false };
    turn.ask(request, basic::Get { queue: name(TOKENS[from]), no_ack: false });
}

/// Puts the token that came into the other queue.
pub fn put(turn: &mut Turn<'_>, heard: &Heard) {
    let Heard::Got { tag, body, .. } = heard else { return };
    if !turn.channel().is_open {
        return;
    }
    let Some(id) = turn.messages.identify(body) else { return };
    let to = TOKENS[1 - turn.client.moving_from];
    turn.publish_body(&Publishing::to(to), id, body);
    turn.settle(*tag, false, Ending::Removed);
    turn.ask(Request::Commit, tx::Commit {});
}

/// Forgets what was begun, and gives back what is held.
pub fn roll_back(turn: &mut Turn<'_>) {
    if turn.channel().asked.is_empty() {
        turn.ask(Request::Rollback, tx::Rollback {});
        super::recover::all(turn);
    }
}
