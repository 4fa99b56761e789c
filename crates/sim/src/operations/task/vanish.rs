//! A worker is gone in the middle of its work.

use crate::client::Turn;

/// Its connection breaks.
pub fn vanish(turn: &mut Turn<'_>) {
    turn.client.vanishes = true;
}
