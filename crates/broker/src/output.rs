//! Where the core puts what it decides.

use bytes::{Bytes, BytesMut};
use mistakes::{Mistake, is_planted};

use crate::cold::Want;
use crate::command::Publish;
use crate::effect::{Addressed, Effect, Recipient};
use crate::record::{Record, Target, write_published, write_settled, write_task_ended};
use crate::task::TaskEnded;
use crate::{Envelope, Lsn, Place, QueueNumber, SessionId, StoredMessage, Timestamp};

/// Everything that `handle` hands out: records, effects, and envelopes that only live in memory.
///
/// The caller owns it, lends it to each call, and empties it between calls as it likes; the core only appends.
#[derive(Debug)]
pub struct Output {
    /// The journal entry that is being filled.
    pub entry: OpenEntry,
    /// Envelopes of messages that are not journaled.
    pub volatile: Volatile,
    /// What to tell clients, in order.
    pub effects: Vec<Addressed>,
    /// Publishes that nobody confirms and that the storage has no room for, in order. To be handed in again, as
    /// [`crate::Command::PublishAgain`] and in front of other publishes of their connections, when there is room; or to be
    /// dropped and counted by [`crate::Broker::drop_held_back`].
    pub held_back: Vec<HeldBack>,
    /// State that is wanted in memory, each thing once until it was [`crate::Broker::loaded`]. The caller takes them.
    pub wants: Vec<Want>,
}

/// A publish that waits for room on the storage.
#[derive(Clone, Debug)]
pub struct HeldBack {
    /// The session that it came from.
    pub session: SessionId,
    /// The publish, with bytes of its own.
    pub publish: Publish,
}

/// A journal entry being filled with records. All records of one `handle` lie in one entry, which makes a
/// command atomic.
#[derive(Debug)]
pub struct OpenEntry {
    /// The position that the entry will have.
    pub lsn: Lsn,
    /// The records so far.
    pub bytes: BytesMut,
}

/// Blocks of transient envelopes being filled, and the count of messages that need them.
#[derive(Debug)]
pub struct Volatile {
    /// The number of the open block.
    pub block: u64,
    /// What was written to the open block since its bytes were last taken.
    pub bytes: BytesMut,
    /// Bytes of the open block that were taken already.
    pub taken_bytes: u32,
    /// Blocks that were filled up: number, offset of the first byte, bytes. The caller takes them.
    pub filled: Vec<(u64, u32, Bytes)>,
    /// How many more messages need a block: (block, messages). The caller takes them.
    pub retained: Vec<(u64, u32)>,
    /// Messages that need their block no longer. The caller takes them.
    pub released: Vec<Place>,
}

impl Output {
    /// An output that begins at a journal position.
    #[must_use]
    pub fn new(lsn: Lsn) -> Self {
        Self {
            entry: OpenEntry { lsn, bytes: BytesMut::new() },
            volatile: Volatile::default(),
            effects: Vec::new(),
            held_back: Vec::new(),
            wants: Vec::new(),
        }
    }

    /// The position of the last record written: what an answer that rests on all of the state waits for.
    #[must_use]
    pub fn position(&self) -> Lsn {
        if self.entry.bytes.is_empty() { Lsn(self.entry.lsn.0 - 1) } else { self.entry.lsn }
    }

    pub(crate) fn record(&mut self, record: &Record) {
        record.write(&mut self.entry.bytes);
    }

    /// Records a change of definitions, if what changed survives a restart.
    pub(crate) fn record_if(&mut self, durable: bool, record: &Record) {
        if durable {
            self.record(record);
        }
    }

    pub(crate) fn record_published(
        &mut self,
        time: Timestamp,
        targets: impl ExactSizeIterator<Item = Target>,
        envelope: &Envelope,
    ) -> Place {
        let offset = write_published(&mut self.entry.bytes, time, targets, envelope);
        Place::in_entry(self.entry.lsn, offset)
    }

    /// Records that a task ended, with its result. What is returned says where the result lies.
    pub(crate) fn record_task_ended(
        &mut self,
        ended: &TaskEnded,
        result: Option<&Envelope>,
    ) -> Option<StoredMessage> {
        let lsn = self.entry.lsn;
        let written = write_task_ended(&mut self.entry.bytes, ended, result);
        written
            .map(|(offset, stored_bytes)| StoredMessage { place: Place::in_entry(lsn, offset), stored_bytes })
    }

    /// Records that messages are done with; nothing if there are none.
    pub(crate) fn record_settled(&mut self, queue: QueueNumber, ranges: &[(u64, u64)]) {
        if !ranges.is_empty() && !is_planted(Mistake::AckNotJournaled) {
            write_settled(&mut self.entry.bytes, queue, ranges);
        }
    }

    pub(crate) fn effect(&mut self, to: Recipient, after: Lsn, effect: Effect) {
        self.effects.push(Addressed { to, after, effect });
    }
}

impl Default for Volatile {
    fn default() -> Self {
        Self {
            block: 1,
            bytes: BytesMut::new(),
            taken_bytes: 0,
            filled: Vec::new(),
            retained: Vec::new(),
            released: Vec::new(),
        }
    }
}

impl Volatile {
    /// A block takes no further envelope once it holds this many bytes; a larger envelope has one of its own.
    pub const BLOCK_BYTES: usize = 256 * 1024;

    /// Memory for envelopes is taken in pieces of at least this many bytes, so that small ones cost no allocation.
    const CHUNK_BYTES: usize = 64 * 1024;

    /// Stores an envelope that `messages` messages share.
    pub(crate) fn store(&mut self, envelope: &Envelope, messages: u32) -> Place {
        let length = envelope.stored_bytes();
        let used = self.taken_bytes as usize + self.bytes.len();
        if used > 0 && used + length > Self::BLOCK_BYTES {
            self.filled.push((self.block, self.taken_bytes, self.bytes.split().freeze()));
            self.block += 1;
            self.taken_bytes = 0;
        }
        if self.bytes.capacity() - self.bytes.len() < length {
            self.bytes.reserve(length.max(Self::CHUNK_BYTES));
        }
        let offset = self.taken_bytes + u32::try_from(self.bytes.len()).expect("a block is below 4 GiB");
        envelope.write_stored(&mut self.bytes);
        self.retained.push((self.block, messages));
        Place::in_block(self.block, offset)
    }

    /// Takes what was written to the open block: its number, the offset of the first byte, the bytes.
    pub fn take_written(&mut self) -> Option<(u64, u32, Bytes)> {
        if self.bytes.is_empty() {
            return None;
        }
        let bytes = self.bytes.split().freeze();
        let offset = self.taken_bytes;
        self.taken_bytes += u32::try_from(bytes.len()).expect("a block is below 4 GiB");
        Some((self.block, offset, bytes))
    }
}
