//! What an engine does, in numbers.

use crate::engine::Engine;

/// Numbers for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// What happened in the core since the boot.
    pub counters: broker::Counters,
    /// What is in the core now.
    pub totals: broker::Totals,
    /// The last journal entry that survives a crash.
    pub durable_lsn: u64,
    /// The last journal entry.
    pub appended_lsn: u64,
    /// Bytes of the journal's files.
    pub journal_bytes: u64,
    /// Segments that the journal has sealed since the start.
    pub segments_sealed: u64,
    /// Compactions of old segments that the journal has done since the start.
    pub compactions: u64,
    /// Publishes are refused because the storage is low.
    pub storage_is_low: bool,
    /// Bytes that the storage has room for; `u64::MAX` if nobody knows.
    pub storage_room_bytes: u64,
    /// Bytes of message bodies in memory.
    pub body_cache_bytes: u64,
    /// Checkpoints written since the start.
    pub checkpoints: u64,
}

impl Engine {
    /// Numbers for metrics. Costs a look at every queue and connection.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let writer = self.writer.as_ref();
        Counts {
            counters: *self.broker.counters(),
            totals: self.broker.totals(),
            durable_lsn: self.durable.0,
            appended_lsn: self.appended.0,
            journal_bytes: writer
                .map_or(0, |writer| writer.segments().iter().map(|segment| segment.bytes).sum()),
            segments_sealed: writer.map_or(0, |writer| writer.sealed_count()),
            compactions: writer.map_or(0, |writer| writer.compacted_count()),
            storage_is_low: self.storage_room().is_low,
            storage_room_bytes: self.storage_room().room_bytes,
            body_cache_bytes: self.bodies.resident_bytes(),
            checkpoints: self.checkpoints.written(),
        }
    }
}
