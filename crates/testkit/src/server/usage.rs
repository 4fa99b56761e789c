//! What a process has used so far, as Linux tells it.

use std::fs;
use std::io;
use std::time::Duration;

/// Processor time and memory of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// User and system time of all threads, ended ones included. The kernel counts in steps of 10 ms.
    pub cpu_time: Duration,
    /// Memory that no file backs, in bytes: `RssAnon`.
    pub anonymous_bytes: u64,
}

impl ProcessUsage {
    /// Reads `/proc/PID/stat` and `/proc/PID/status`.
    ///
    /// # Errors
    /// When there is no such process, or no Linux.
    pub fn of(process_id: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process_id}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{process_id}/status"))?;
        let read = || Some(Self { cpu_time: cpu_time(&stat)?, anonymous_bytes: anonymous_bytes(&status)? });
        read().ok_or_else(|| io::Error::other(format!("/proc/{process_id} has an unknown form")))
    }
}

fn cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in brackets and may itself hold spaces and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_micros((user + system) * 1_000_000 / ticks_per_second))
}

fn anonymous_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        assert_eq!(cpu_time(stat), Some(Duration::from_micros(300 * 1_000_000 / ticks_per_second)));
    }

    #[test]
    fn own_memory_grows_with_what_is_touched() {
        let before = ProcessUsage::of(std::process::id()).unwrap();
        let touched = vec![1u8; 64 << 20];
        let after = ProcessUsage::of(std::process::id()).unwrap();
        assert!(touched.iter().all(|byte| *byte == 1));
        assert!(after.anonymous_bytes >= before.anonymous_bytes + (60 << 20));
        assert!(after.cpu_time >= before.cpu_time);
    }
}
