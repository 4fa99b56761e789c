//! Deliveries are settled.

use amqp_wire::basic;

use crate::client::Turn;
use crate::messages::Settled;
use crate::model::Ending;

/// Acknowledges one.
pub fn ack(turn: &mut Turn<'_>) {
    settle(turn, false, Ending::Removed);
}

/// Acknowledges all up to one.
pub fn ack_many(turn: &mut Turn<'_>) {
    settle(turn, true, Ending::Removed);
}

/// Returns one to its place.
pub fn requeue(turn: &mut Turn<'_>) {
    settle(turn, false, Ending::Requeued);
}

/// Returns all up to one to their places.
pub fn requeue_many(turn: &mut Turn<'_>) {
    settle(turn, true, Ending::Requeued);
}

/// Rejects one for good.
pub fn reject(turn: &mut Turn<'_>) {
    let Some(tag) = turn.any_held() else { return };
    let channel = turn.channel();
    if let Some(id) = channel.held.remove(&tag).and_then(|held| held.message) {
        channel.settled.push(id);
        let message = &mut turn.messages[id];
        message.settled = message.settled.max(Settled::Asked);
    }
    let number = turn.number;
    turn.client.send(number, basic::Reject { delivery_tag: tag, requeue: false });
}

fn settle(turn: &mut Turn<'_>, multiple: bool, ending: Ending) {
    if let Some(tag) = turn.any_held() {
        turn.settle(tag, multiple, ending);
    }
}
