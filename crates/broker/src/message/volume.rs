//! How much there is.

use super::slot::Slot;

/// A count of messages and the bytes of their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) messages: u64,
    pub(crate) body_bytes: u64,
}

impl Volume {
    pub(crate) fn add(&mut self, slot: &Slot) {
        self.messages += 1;
        self.body_bytes += u64::from(slot.body_bytes);
    }

    pub(crate) fn remove(&mut self, slot: &Slot) {
        self.messages -= 1;
        self.body_bytes -= u64::from(slot.body_bytes);
    }

    pub(crate) fn add_all(&mut self, other: Self) {
        self.messages += other.messages;
        self.body_bytes += other.body_bytes;
    }

    pub(crate) fn remove_all(&mut self, other: Self) {
        self.messages -= other.messages;
        self.body_bytes -= other.body_bytes;
    }
}
