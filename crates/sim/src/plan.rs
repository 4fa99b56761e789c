//! What a seed chooses before anything happens: sizes, clients, and how bad the world is.

use journal::FileOptions;

use crate::agenda::{Micros, SECOND};
use crate::faults::Faults;
use crate::random::Random;

/// The choices of one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long clients are at work at most, in simulated time.
    pub duration: Micros,
    /// How many operations they begin at most.
    pub operations_max: u64,
    /// Bytes of bodies that the engine keeps in memory.
    pub body_cache_bytes: u64,
    /// Of a hundred events, so many have all messages packed that can be.
    pub pack_percent: u64,
    /// Bytes of what is known of messages that the engine keeps in memory.
    pub state_bytes: u64,
    /// After so many of a hundred events all state leaves memory that can.
    pub evict_percent: u64,
    /// Bytes on their way to one connection.
    pub delivery_window_bytes: u64,
    /// Bytes that one connection has published and that are not durable.
    pub publish_window_bytes: u64,
    /// Bytes at which an entry is closed.
    pub entry_bytes_target: usize,
    /// Bytes of the disk that publishes leave alone.
    pub reserve_bytes: u64,
    /// Bytes that old files of the journal may take beyond twice what lives in them.
    pub compaction_slack_bytes: u64,
    /// Sizes of segments in bytes: the first and the last.
    pub segment_bytes: (u64, u64),
    /// Trimmed segments that are kept to be written again.
    pub spare_segments_max: usize,
    /// Bytes of one write of the journal.
    pub commit_bytes_max: u64,
    /// The largest body, in bytes.
    pub body_bytes_max: u64,
    /// How long a client thinks between two things that it does, at most.
    pub think_time_max: Micros,
    /// How many clients play each role; see [`crate::client::Role::ALL`].
    pub roles: Vec<u32>,
    /// How many requesters there are, beside them.
    pub requesters: u32,
    /// The bad things that happen.
    pub faults: Faults,
}

impl Plan {
    /// Chooses. The smallest plan that shows a mistake is the best, so small ones are likely.
    pub fn choose(random: &mut Random, roles: usize) -> Self {
        let large = random.percent(15);
        let segment_first = *random.pick(&[8 << 10, 16 << 10, 32 << 10]);
        Self {
            duration: random.between(SECOND / 20, 3 * SECOND / 2),
            operations_max: *random.pick(&[300, 1_500, 6_000]),
            body_cache_bytes: *random.pick(&[24 << 10, 64 << 10, 1 << 20]),
            pack_percent: *random.pick(&[0, 1, 20]),
            state_bytes: *random.pick(&[0, 8 << 10, 64 << 20]),
            evict_percent: *random.pick(&[0, 1, 20]),
            delivery_window_bytes: *random.pick(&[4 << 10, 16 << 10, 256 << 10]),
            publish_window_bytes: *random.pick(&[16 << 10, 64 << 10, 1 << 20]),
            entry_bytes_target: *random.pick(&[3 << 10, 12 << 10, 64 << 10]),
            reserve_bytes: *random.pick(&[0, 32 << 10, 128 << 10]),
            compaction_slack_bytes: *random.pick(&[0, 16 << 10, 64 << 10, 256 << 20]),
            segment_bytes: (segment_first, segment_first << *random.pick(&[0, 0, 1, 3])),
            spare_segments_max: *random.pick(&[1, 2, 8]),
            commit_bytes_max: *random.pick(&[4 << 10, 32 << 10, 1 << 20]),
            body_bytes_max: if large { 20_000 } else { *random.pick(&[60, 300, 2000]) },
            think_time_max: *random.pick(&[300, 2_000, 10_000]),
            roles: (0..roles).map(|_| *random.pick(&[0, 1, 1, 2])).collect(),
            requesters: *random.pick(&[0, 1, 1, 2]),
            faults: Faults::choose(random),
        }
    }

    /// The journal's options.
    #[must_use]
    pub fn file_options(&self) -> FileOptions {
        FileOptions {
            segment_bytes_first: self.segment_bytes.0,
            segment_bytes_max: self.segment_bytes.1,
            commit_bytes_max: self.commit_bytes_max,
            spare_segments_max: self.spare_segments_max,
            reserve_bytes: self.reserve_bytes,
            ..FileOptions::new(0x5eed)
        }
    }

    /// The engine's settings in a boot with this secret.
    #[must_use]
    pub fn engine_settings(&self, secret: u64) -> engine::Settings {
        let mut seed = broker::Seed::default();
        seed.0[..8].copy_from_slice(&secret.to_be_bytes());
        engine::Settings {
            body_cache_bytes: self.body_cache_bytes,
            state_bytes: self.state_bytes,
            delivery_window_bytes: self.delivery_window_bytes,
            publish_window_bytes: self.publish_window_bytes,
            journal_window_bytes: 4 * self.publish_window_bytes,
            entry_bytes_target: self.entry_bytes_target,
            storage_reserve_bytes: self.reserve_bytes,
            compaction_slack_bytes: self.compaction_slack_bytes,
            seed,
            ..engine::Settings::default()
        }
    }
}
