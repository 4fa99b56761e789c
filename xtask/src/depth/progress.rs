//! How far it has got.

use std::cell::Cell;
use std::time::Instant;

use crate::disk;
use crate::table::Table;
use crate::target::Target;

/// Prints a row now and then.
pub(super) struct Progress {
    table: Table,
    started: Instant,
    written_before: Option<u64>,
    peak_anonymous_bytes: Cell<u64>,
}

impl Progress {
    pub(super) fn start(target: &Target) -> Self {
        let titles = ["step", "messages", "seconds", "anonymous MB", "written MB", "1000/s"];
        let written_before = target.data_dir().and_then(disk::written_bytes);
        Self {
            table: Table::start(&titles, 12),
            started: Instant::now(),
            written_before,
            peak_anonymous_bytes: Cell::new(0),
        }
    }

    /// What the disk has written since the start.
    pub(super) fn written_bytes(&self, target: &Target) -> Option<u64> {
        Some(disk::written_bytes(target.data_dir()?)?.saturating_sub(self.written_before?))
    }

    /// The most that was told; 0 if it is not known.
    pub(super) fn peak_anonymous_bytes(&self) -> u64 {
        self.peak_anonymous_bytes.get()
    }

    /// So many messages are done since then.
    pub(super) fn tell(&self, target: &Target, step: &str, count: u64, since: Instant) {
        let megabytes =
            |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |bytes| (bytes >> 20).to_string());
        let anonymous_bytes = target.usage().map(|usage| usage.anonymous_bytes);
        self.peak_anonymous_bytes.set(self.peak_anonymous_bytes.get().max(anonymous_bytes.unwrap_or(0)));
        let memory = megabytes(anonymous_bytes);
        let written = megabytes(self.written_bytes(target));
        let rate = format!("{:.1}", count as f64 / since.elapsed().as_secs_f64() / 1000.0);
        let seconds = format!("{:.1}", self.started.elapsed().as_secs_f64());
        self.table.row(&[format!("{step:<12}"), count.to_string(), seconds, memory, written, rate]);
    }
}

/// Whether a multiple of `step` lies between the two.
pub(super) fn crossed(before: u64, after: u64, step: u64) -> bool {
    step > 0 && before / step < after / step
}
