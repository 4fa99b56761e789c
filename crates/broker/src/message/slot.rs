//! What the core keeps of one message.

use crate::{Lsn, Place, StoredMessage};

/// One message in one queue: where its envelope lies and how large it is. 24 bytes, never changed once written.
///
/// What changes (held, dead, delivered before) is a bit of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Where the stored envelope begins.
    pub(crate) place: Place,
    /// Bytes of the stored envelope in front of the body.
    pub(crate) header_bytes: u32,
    /// Bytes of the body.
    pub(crate) body_bytes: u32,
}

impl Slot {
    /// Fills a place whose message never became durable. Always dead.
    pub(crate) const SKIPPED: Self =
        Self { place: Place::in_entry(Lsn::NONE, 0), header_bytes: 0, body_bytes: 0 };

    /// What an effect needs to name the message.
    pub(crate) fn stored(&self) -> StoredMessage {
        StoredMessage { place: self.place, stored_bytes: self.header_bytes + self.body_bytes }
    }
}
