//! What the server's process takes of the machine's memory.

use std::io;
use std::time::{Duration, Instant};

/// A process whose memory is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    process_id: u32,
}

/// Before the first look. A connection lets go of its buffers some seconds after its last answer, and the allocator of their
/// pages two seconds later; what counts is what is held for as long as a caller waits.
const REST: Duration = Duration::from_secs(8);
/// Between two looks. What is freed or built up late shows as a difference.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks that differ by less than this, in bytes, are the same.
const NOISE_BYTES: u64 = 256 * 1024;
/// After this the last look counts: parked calls don't wait for ever.
const SETTLE_MAX: Duration = Duration::from_secs(8);

impl Memory {
    /// The memory of this process.
    pub(super) fn of(process_id: u32) -> Self {
        Self { process_id }
    }

    /// Anonymous memory in bytes (heaps and stacks; not files that the system may drop), once it has come to rest:
    /// three looks in a row that are the same, or the last one after eight seconds.
    pub(super) async fn settled(self) -> io::Result<u64> {
        let started = Instant::now();
        tokio::time::sleep(REST).await;
        let mut looks = [u64::MAX, u64::MAX, self.anonymous_bytes()?];
        loop {
            let largest = looks.iter().max().copied().unwrap_or_default();
            let smallest = looks.iter().min().copied().unwrap_or_default();
            if largest - smallest <= NOISE_BYTES || started.elapsed() >= SETTLE_MAX {
                return Ok(looks[2]);
            }
            tokio::time::sleep(LOOK_EVERY).await;
            looks = [looks[1], looks[2], self.anonymous_bytes()?];
        }
    }

    fn anonymous_bytes(self) -> io::Result<u64> {
        let path = format!("/proc/{}/status", self.process_id);
        let status = std::fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot read {path}: {error}")))?;
        parse(&status)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no RssAnon in {path}")))
    }
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_anonymous_memory_is_found() {
        let status = "Name:\tforebay\nVmRSS:\t    5000 kB\nRssAnon:\t    1236 kB\nRssFile:\t 3764 kB\n";
        assert_eq!(parse(status), Some(1236 * 1024));
        assert_eq!(parse("Name:\tforebay\n"), None);
    }

    #[tokio::test]
    async fn memory_that_is_taken_shows() {
        let memory = Memory::of(std::process::id());
        let before = memory.anonymous_bytes().unwrap();
        let taken = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = memory.settled().await.unwrap();
        assert!(after > before + (48 << 20), "{before} {after}");
        drop(taken);
    }
}
