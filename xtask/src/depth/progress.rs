//! How far it has got.

use std::time::Instant;

use super::disk;
use crate::table::Table;
use crate::target::Target;

/// Prints a row now and then.
pub(super) struct Progress {
    table: Table,
    started: Instant,
    written_before: Option<u64>,
}

impl Progress {
    pub(super) fn start(target: &Target) -> Self {
        let titles = ["step", "messages", "seconds", "anonymous MB", "written MB", "1000/s"];
        let written_before = target.data_dir().and_then(disk::written_bytes);
        Self { table: Table::start(&titles, 12), started: Instant::now(), written_before }
    }

    /// What the disk has written since the start.
    pub(super) fn written_bytes(&self, target: &Target) -> Option<u64> {
        Some(disk::written_bytes(target.data_dir()?)?.saturating_sub(self.written_before?))
    }

    /// So many messages are done since then.
    pub(super) fn tell(&self, target: &Target, step: &str, count: u64, since: Instant) {
        let megabytes =
            |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |bytes| (bytes >> 20).to_string());
        let memory = megabytes(target.usage().map(|usage| usage.anonymous_bytes));
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
