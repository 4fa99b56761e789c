//! What is remembered of a channel.

use std::cell::Cell;
use std::rc::Rc;

/// An open channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// Publishes are confirmed.
    pub(super) has_confirms: bool,
    /// How many publishes have come since confirms are on.
    pub(super) published: u64,
    /// Some of them came with the read that is being understood.
    pub(super) is_touched: bool,
    /// How many deliveries it has had; shared with its consumers.
    pub(super) deliveries: Rc<Cell<u64>>,
}
