//! What the disk does without any broker: the yardstick of the same run.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::Latencies;

/// How fast synced writes are, into a file that was written once with zeros.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpeed {
    /// One write of 4 KB with fdatasync.
    pub sync_4k_p50_us: u64,
    /// As above.
    pub sync_4k_p99_us: u64,
    /// Writes of 1 MB with fdatasync each.
    pub synced_mb_per_s: f64,
}

const FILE_BYTES: usize = 64 << 20;
const MEGABYTE: usize = 1 << 20;

impl DiskSpeed {
    /// Measures in this folder.
    pub fn measure(folder: &Path, small: bool) -> Result<Self> {
        let path = folder.join("calibration");
        let mut file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.write_all(&vec![0; FILE_BYTES])?;
        file.sync_all()?;

        let mut latencies = Latencies::default();
        file.seek(SeekFrom::Start(0))?;
        for _ in 0..if small { 20 } else { 500 } {
            let started = Instant::now();
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            latencies.note(started.elapsed());
        }
        let megabytes = if small { 8 } else { 512 };
        let (block, started) = (vec![7; MEGABYTE], Instant::now());
        for number in 0..megabytes {
            file.seek(SeekFrom::Start((number * MEGABYTE % FILE_BYTES) as u64))?;
            file.write_all(&block)?;
            file.sync_data()?;
        }
        let synced_mb_per_s = (megabytes * MEGABYTE) as f64 / 1e6 / started.elapsed().as_secs_f64();
        let quantile = |share| latencies.quantile_us(share).unwrap_or_default();
        Ok(Self { sync_4k_p50_us: quantile(0.5), sync_4k_p99_us: quantile(0.99), synced_mb_per_s })
    }
}
