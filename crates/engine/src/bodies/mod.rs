//! The envelopes of messages, by place: in memory, or on their way back from the journal.

mod chunks;
mod read_back;
mod recent;
mod volatile;

use std::ops::Range;

use broker::{Envelope, Home, Lsn, StoredMessage};
use bytes::{Bytes, BytesMut};

use chunks::Chunks;
pub(crate) use read_back::ReadBack;
pub(crate) use recent::Recent;
pub(crate) use volatile::Blocks;

/// All envelopes that are at hand.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// The journal's newest entries.
    pub(crate) recent: Recent,
    /// Envelopes that are not journaled, or only because memory ran short.
    pub(crate) blocks: Blocks,
    /// Parts of older entries that were read again.
    pub(crate) read_back: ReadBack,
    chunks: Chunks,
    budget_bytes: u64,
}

/// Where the bytes of a message are.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Here.
    Here(Envelope),
    /// In the journal: this part of this entry.
    InJournal(Lsn, Range<u32>),
    /// In this entry, but its bytes are no envelope: what came back from the disk is not what was written.
    Damaged(Lsn),
}

/// Of the budget, one in this many parts is for entries that were read again.
const READ_BACK_SHARE: u64 = 4;
/// Of the budget, one in this many parts is kept without asking who needs it.
const WORTH_A_LOOK_SHARE: u64 = 8;
/// Of the budget, one in this many parts is for envelopes that are not journaled.
const VOLATILE_SHARE: u64 = 2;

impl Bodies {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        Self {
            recent: Recent::default(),
            blocks: Blocks::default(),
            read_back: ReadBack::new(budget_bytes / READ_BACK_SHARE),
            chunks: Chunks::new(budget_bytes),
            budget_bytes,
        }
    }

    /// Finds a message.
    ///
    /// # Panics
    /// When the place was never written: the core and the engine disagree, and nothing may be told to anyone any
    /// more.
    pub(crate) fn find(&mut self, message: StoredMessage) -> Found {
        let length = message.stored_bytes;
        let (lsn, offset) = match message.place.home() {
            Home::Entry(lsn) => (lsn, message.place.offset),
            Home::Volatile(block) => match self.blocks.find(block, message.place.offset, length) {
                Ok(bytes) => return Found::envelope(Lsn::NONE, bytes),
                Err((lsn, base)) => (lsn, base + message.place.offset),
            },
        };
        let range = offset..offset + length;
        let found = self.recent.find(lsn, range.clone()).or_else(|| self.read_back.find(lsn, range.clone()));
        match found {
            Some(bytes) => Found::envelope(lsn, bytes),
            None => Found::InJournal(lsn, range),
        }
    }

    /// Adds an entry that has just gone to the journal, and lets the oldest go for it.
    pub(crate) fn entry_appended(&mut self, lsn: Lsn, bytes: Bytes) {
        self.recent.push(lsn, bytes);
        self.shrink();
    }

    /// Makes room for the next entry's bytes.
    pub(crate) fn make_room(&mut self, entry: &mut BytesMut, bytes: usize) {
        let unused = self.chunks.make_room(entry, bytes);
        self.recent.add_unused(unused);
    }

    /// Adds a part of an entry that was read again.
    pub(crate) fn entry_read(&mut self, lsn: Lsn, start: u32, bytes: Bytes) {
        self.read_back.insert(lsn, start, bytes);
        self.shrink();
    }

    /// True when the envelopes that are not journaled take more than their share.
    pub(crate) fn must_spill(&self) -> bool {
        self.blocks.resident_bytes() > self.budget_bytes / VOLATILE_SHARE
    }

    /// How many more bytes of such envelopes fit into their share.
    pub(crate) fn room_for_volatile_bytes(&self) -> u64 {
        (self.budget_bytes / VOLATILE_SHARE).saturating_sub(self.blocks.resident_bytes())
    }

    /// Bytes in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.recent.bytes() + self.blocks.resident_bytes() + self.read_back.bytes()
    }

    /// Whether what the journal has takes enough that it is worth something to look who needs it.
    pub(crate) fn are_many(&self) -> bool {
        self.recent.bytes() + self.read_back.bytes() > self.budget_bytes / WORTH_A_LOOK_SHARE
    }

    /// Lets go of all that the journal has. What is in no entry stays.
    pub(crate) fn rest(&mut self) {
        self.recent = Recent::default();
        self.read_back = ReadBack::new(self.read_back.budget_bytes());
        self.chunks = Chunks::new(self.budget_bytes);
    }

    fn shrink(&mut self) {
        let others = self.blocks.resident_bytes() + self.read_back.bytes();
        let budget = self.budget_bytes.saturating_sub(others);
        while let Some(entry) = self.recent.pop_over(budget) {
            self.chunks.take_back(entry);
        }
    }
}

impl Found {
    fn envelope(lsn: Lsn, bytes: Bytes) -> Self {
        Envelope::from_stored(bytes).map_or(Self::Damaged(lsn), Self::Here)
    }
}
