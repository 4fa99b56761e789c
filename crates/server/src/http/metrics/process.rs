//! What this process takes from the machine.

use super::exposition::Exposition;
use crate::{clock, limits};

pub(super) fn write(exposition: &mut Exposition) {
    let optional = [
        ("rabbitmq_process_open_fds", "Open descriptors.", open_descriptors()),
        ("rabbitmq_process_max_fds", "Descriptors that may be open.", limits::descriptors_max()),
        ("rabbitmq_process_resident_memory_bytes", "Memory in use.", resident_bytes()),
    ];
    for (name, help, value) in optional {
        if let Some(value) = value {
            exposition.gauge(name, help).value(value);
        }
    }
    let help = "How long this process has been running. The name is RabbitMQ's.";
    exposition.gauge("rabbitmq_erlang_uptime_seconds", help).value(clock::uptime().as_secs());
}

fn open_descriptors() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
