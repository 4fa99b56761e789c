//! The bars that the project has set itself.

use super::report::{Cell, Report};
use super::run::{ECHO, NULL, OURS};

/// A figure beside its bar.
pub(super) struct Aim {
    pub(super) name: &'static str,
    pub(super) figure: f64,
    pub(super) limit: f64,
    /// Whether the figure must stay below the bar, or reach it.
    pub(super) is_below: bool,
}

/// A 1 KB message with its envelope, as it goes to the disk, in bytes.
const STORED_BYTES: f64 = 1100.0;
const LARGE_BYTES: f64 = 100.0 * 1024.0;

/// All aims that were measured.
pub(super) fn aims(report: &Report) -> Vec<Aim> {
    let disk = report.disk;
    let synced_bytes_per_s = disk.synced_mb_per_s * 1e6;
    let (sync_p50, sync_p99) = (disk.sync_4k_p50_us as f64, disk.sync_4k_p99_us as f64);
    let ours = |row| report.find(row, OURS);
    let us = |row| ours(row)?.server_us;
    let null = |row| report.find(row, NULL)?.server_us;
    let through = |cell: Cell| Some(cell.in_per_s?.min(cell.out_per_s?));
    let other = |row, name| Some(ours(row)?.others.iter().find(|(other, _)| *other == name)?.1);
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);

    let mut aims = Vec::new();
    let mut below = |name, figure: Option<f64>, limit: f64| {
        aims.extend(figure.map(|figure| Aim { name, figure, limit, is_below: true }));
    };
    below("a: CPU us a message", us("a"), 1.5);
    below("a: CPU beside the null broker's", ratio(us("a"), null("a")), 2.5);
    below("a: confirm p50 us", ours("a").and_then(|cell| cell.confirm_us[0]), 1500.0);
    below("b: CPU us a message", us("b"), 0.45);
    below("b: CPU beside the null broker's", ratio(us("b"), null("b")), 3.5);
    below("small: CPU us a message", us("small"), 1.2);
    below("fanout: CPU us a delivery", us("fanout"), 0.6);
    below("c: confirm p50 us", ours("c").and_then(|cell| cell.confirm_us[0]), 1.7 * sync_p50);
    below("c: confirm p99 us", ours("c").and_then(|cell| cell.confirm_us[1]), 2.5 * sync_p99);
    below("c: CPU us a message", us("c"), 120.0);
    below("steady: end to end p50 us", ours("steady").and_then(|cell| cell.end_to_end_us[0]), 3.0 * sync_p50);
    below("steady: end to end p99 us", ours("steady").and_then(|cell| cell.end_to_end_us[1]), 3.0 * sync_p99);
    below("ack-one: CPU us a message", us("ack-one"), 2.5);
    below("tx: CPU us a message", us("tx"), 2.5);
    let echo = report.find("get", ECHO).and_then(|cell| cell.end_to_end_us[0]);
    let get = ours("get").and_then(|cell| cell.end_to_end_us[0]);
    below("get: round trip beside the echo server's", ratio(get, echo), 1.5);
    below("idle: bytes of memory each", other("idle", "bytes of memory each"), 8192.0);
    below("1,000 connections: CPU beside one's", ratio(us("crowd-1000"), us("crowd-1")), 2.0);
    below("200 vhosts: CPU beside one's", ratio(us("vhosts-200"), us("vhosts-1")), 2.0);
    let syncs = "syncs of the disk a second";
    below("200 vhosts: syncs beside one's", ratio(other("vhosts-200", syncs), other("vhosts-1", syncs)), 2.0);

    let mut above = |name, figure: Option<f64>, limit: f64| {
        aims.extend(figure.map(|figure| Aim { name, figure, limit, is_below: false }));
    };
    let disk_per_s = 0.7 * synced_bytes_per_s / STORED_BYTES;
    above("a: messages a second in and out", ours("a").and_then(through), disk_per_s.min(650_000.0));
    above("b: messages a second", ours("b").and_then(through), 2_500_000.0);
    let large_per_s = 0.7 * synced_bytes_per_s / LARGE_BYTES;
    above("large: messages a second", ours("large").and_then(through), large_per_s);
    above("idle: connections opened a second", other("idle", "connections opened a second"), 5000.0);
    above("call: calls a second, 32 at a time", ours("call-32").and_then(|cell| cell.out_per_s), 20_000.0);
    aims
}
