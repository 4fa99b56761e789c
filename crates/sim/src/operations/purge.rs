//! A queue is purged.

use amqp_wire::queue;

use super::PURGED;
use crate::client::{Request, Turn, name};
use crate::messages::Settled;

/// Purges. All that was published before may be gone from now on.
pub fn purged(turn: &mut Turn<'_>) {
    turn.messages.settle_queue(PURGED, Settled::Asked);
    turn.ask(Request::PurgeQueue(PURGED.to_owned()), queue::Purge { queue: name(PURGED), no_wait: false });
}
