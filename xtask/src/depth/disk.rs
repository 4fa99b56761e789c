//! What a disk has written, as the kernel counts it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The kernel counts in sectors of this size, whatever the disk has.
const SECTOR_BYTES: u64 = 512;

/// Bytes that were written to the disk that this folder is on, by anybody. Not what the process has dirtied (`/proc/PID/io`): there
/// the kernel counts all of a large page for each byte of it.
pub(super) fn written_bytes(folder: &Path) -> Option<u64> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let disks = fs::read_to_string("/proc/diskstats").ok()?;
    disks.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let is_it = fields.next()?.parse() == Ok(major) && fields.next()?.parse() == Ok(minor);
        is_it.then(|| Some(fields.nth(7)?.parse::<u64>().ok()? * SECTOR_BYTES))?
    })
}
