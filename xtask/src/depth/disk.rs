//! What a disk has written, as the kernel counts it, and what a folder takes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

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

/// The size of all files in a folder and below.
pub(super) fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        // What is listed may be gone by now.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
