//! Mistakes that people make in brokers, to be planted on purpose.
//!
//! A simulation that finds nothing proves nothing, unless it finds what is there. So the production code asks, at the
//! places where it would be easy to go wrong, whether it shall: `if is_planted(Mistake::AckNotJournaled) { return }`. The
//! answer is `false`, at compile time, in everything but the build of the simulation.

/// A mistake, and the promise that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mistake {
    /// A publish is confirmed before its entry is durable (P1).
    ConfirmBeforeSync,
    /// A message is delivered before its entry is durable: a crash can unmake it (P1).
    DeliveryBeforeSync,
    /// A refusal leaves before the state that it rests on is durable (P1).
    RefusalBeforeSync,
    /// An acknowledgement is not journaled: the message comes back (P1).
    AckNotJournaled,
    /// The journal says that more is durable than it has synced (P1).
    WatermarkTooHigh,
    /// A failed sync is tried again, and believed (P1).
    FailedSyncRetried,
    /// What recovery has read from the cache is trusted without being written again (P1).
    CacheTrusted,
    /// A new segment's name is not synced (P1).
    FolderNotSynced,
    /// The checksum of an entry is not looked at: a torn one is replayed (P6).
    TornEntryReplayed,
    /// Replay leaves out the last record of an entry that has several (P2).
    ReplaySkipsRecord,
    /// A checkpoint is published before the journal is durable up to its position (P1).
    ManifestBeforeSync,
    /// A page of messages that has changed is left out of a checkpoint (P2).
    PageNotSealed,
    /// A checkpoint does not say that a page of messages is gone: they come back (P1).
    GonePageKept,
    /// A page leaves memory although no run has its last change: what was settled comes back (P1).
    DirtyPageEvicted,
    /// Where runs say different things of a row, the older is believed (P2).
    OlderRowWins,
    /// A segment that holds living messages is freed (P2).
    LiveSegmentTrimmed,
    /// A segment is written over while a crash can still bring its old name back (P2).
    SegmentReusedEarly,
    /// A compaction leaves out one of the messages that it has to keep (P2).
    CompactionLosesSurvivor,
    /// Segments are freed before the file that replaces them is synced (P2).
    CompactionNotSynced,
    /// A requeued message goes behind all others (P5).
    RequeueToTail,
    /// A message that was delivered before is not marked.
    RedeliveredNotMarked,
    /// Publishes of a transaction happen at once, its settlements at the commit (P6).
    TransactionInHalves,
    /// A settlement is taken from whoever once had the task (P4).
    EpochNotChecked,
    /// A checkpoint does not keep idempotency keys (P3).
    KeyLostByCheckpoint,
    /// A request that repeats an idempotency key is taken as a new one (P3).
    KeyNotLookedUp,
    /// What a consumer has not settled goes to others when it is cancelled, though its session still holds it (P4).
    CancelGivesBack,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::ConfirmBeforeSync,
        Self::DeliveryBeforeSync,
        Self::RefusalBeforeSync,
        Self::AckNotJournaled,
        Self::WatermarkTooHigh,
        Self::FailedSyncRetried,
        Self::CacheTrusted,
        Self::FolderNotSynced,
        Self::TornEntryReplayed,
        Self::ReplaySkipsRecord,
        Self::ManifestBeforeSync,
        Self::PageNotSealed,
        Self::GonePageKept,
        Self::DirtyPageEvicted,
        Self::OlderRowWins,
        Self::LiveSegmentTrimmed,
        Self::SegmentReusedEarly,
        Self::CompactionLosesSurvivor,
        Self::CompactionNotSynced,
        Self::RequeueToTail,
        Self::RedeliveredNotMarked,
        Self::TransactionInHalves,
        Self::EpochNotChecked,
        Self::KeyLostByCheckpoint,
        Self::KeyNotLookedUp,
        Self::CancelGivesBack,
    ];
}

#[cfg(feature = "planted")]
mod planted {
    use std::cell::Cell;

    use super::Mistake;

    thread_local! {
        static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
    }

    /// Plants a mistake in all that this thread does from now on; nothing pulls it out.
    pub fn plant(mistake: Option<Mistake>) {
        PLANTED.set(mistake);
    }

    /// Whether this mistake is planted.
    #[must_use]
    pub fn is_planted(mistake: Mistake) -> bool {
        PLANTED.get() == Some(mistake)
    }
}

#[cfg(feature = "planted")]
pub use planted::{is_planted, plant};

/// Whether this mistake is planted. In this build none is.
#[cfg(not(feature = "planted"))]
#[inline(always)]
#[must_use]
pub const fn is_planted(_: Mistake) -> bool {
    false
}
