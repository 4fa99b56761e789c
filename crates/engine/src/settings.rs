//! The bounds of an engine.

/// Bounds of one vhost's engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of message bodies that are kept in memory. Default 256 MiB, at least 4 MiB.
    ///
    /// Bodies beyond it stay in the journal and are read back when their turn comes; bodies of transient messages
    /// are then written to the journal too, without anyone waiting for a sync.
    pub body_cache_bytes: u64,
    /// Bytes of what is known of waiting messages, beside their bodies, that are kept in memory. Default 64 MiB.
    ///
    /// What is beyond it stays in the checkpoints and is read back when its turn comes. Where each queue begins and ends stays in
    /// memory, and what has changed since the last checkpoint: that may be more.
    pub state_bytes: u64,
    /// Bytes of messages on their way to one connection and not yet sent. Default 2 MiB.
    pub delivery_window_bytes: u64,
    /// Bytes that one connection has published and that are not yet durable. Default 4 MiB.
    ///
    /// A connection beyond it gets no credit until the journal has caught up, so a flood waits at its source.
    pub publish_window_bytes: u64,
    /// Bytes that all connections together have published and that are not yet durable. Default 64 MiB.
    ///
    /// Beyond it nobody who publishes has credit: the disk is slower than all of them, and memory has an end.
    pub journal_window_bytes: u64,
    /// An entry is closed at this many bytes, even while another is being synced. Default 1 MiB.
    pub entry_bytes_target: usize,
    /// What nobody waits for, acks above all, is written at the latest after this many milliseconds. Default 5.
    ///
    /// It goes with the next entry anyway. Without the delay a lone ack would pay a sync of its own, and the next
    /// publish would wait for that sync.
    pub idle_flush_ms: u64,
    /// Bytes of the storage that publishes leave alone, for acks, deletions and the like. Default 0: publishes are refused
    /// when nothing is left, and so nothing may be left to make room with. The journal has to keep as much.
    pub storage_reserve_bytes: u64,
    /// Old files of the journal may take so many bytes more than twice what lives in them. Default 256 MiB.
    ///
    /// Beyond it those with the least in them are compacted.
    pub compaction_slack_bytes: u64,
    /// The secret behind lease ids and reply addresses. New and random for each boot; the default, zeros, is for tests.
    pub seed: broker::Seed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_cache_bytes: 256 * 1024 * 1024,
            state_bytes: 64 * 1024 * 1024,
            delivery_window_bytes: 2 * 1024 * 1024,
            publish_window_bytes: 4 * 1024 * 1024,
            journal_window_bytes: 64 * 1024 * 1024,
            entry_bytes_target: 1024 * 1024,
            idle_flush_ms: 5,
            storage_reserve_bytes: 0,
            compaction_slack_bytes: 256 * 1024 * 1024,
            seed: broker::Seed::default(),
        }
    }
}
