//! What a disk has written, as the kernel counts it, and what a folder takes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// The kernel counts in sectors of this size, whatever the disk has.
const SECTOR_BYTES: u64 = 512;
/// Where the kernel's line of a disk tells of sectors written, and of syncs (since Linux 5.5).
const SECTORS_WRITTEN: usize = 9;
const SYNCS: usize = 18;

/// Bytes that were written to the disk that this folder is on, by anybody. Not what the process has dirtied (`/proc/PID/io`): there
/// the kernel counts all of a large page for each byte of it.
pub(crate) fn written_bytes(folder: &Path) -> Option<u64> {
    Some(statistic(folder, SECTORS_WRITTEN)? * SECTOR_BYTES)
}

/// How often the disk that this folder is on was asked to sync, by anybody.
pub(crate) fn syncs(folder: &Path) -> Option<u64> {
    statistic(folder, SYNCS)
}

/// A number of the line that the kernel has of the disk that this folder is on.
fn statistic(folder: &Path, field: usize) -> Option<u64> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let disks = fs::read_to_string("/proc/diskstats").ok()?;
    disks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.first()?.parse() == Ok(major) && fields.get(1)?.parse() == Ok(minor);
        is_it.then(|| fields.get(field)?.parse().ok())?
    })
}

/// The size of all files in a folder and below.
pub(crate) fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        // What is listed may be gone by now.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
