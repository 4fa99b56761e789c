//! A worker takes tasks.

use broker::{Lease, Standalone};

use crate::client::name;
use crate::operations::BRIEF;
use crate::requester::Asking;

/// Takes some, at once or when there are some.
pub fn some(asking: &mut Asking<'_>) {
    let queue = if asking.random.percent(10) { BRIEF } else { asking.any_queue() };
    let max = asking.random.between(1, 4) as u32;
    let (lease_ms, wait) = (asking.random.between(10, 300), asking.random.percent(40));
    let worker = name(if asking.random.percent(50) { "worker" } else { "" });
    asking.ask(Standalone::Lease(Lease { queue: name(queue), max, lease_ms, worker, wait }));
}

/// Waits no more for tasks. That is answered, by tasks if they were on their way.
pub fn stop(asking: &mut Asking<'_>) {
    let waits = |operation: &Standalone| matches!(operation, Standalone::Lease(lease) if lease.wait);
    if let Some(waiting) = asking.any_waiting(waits) {
        asking.ask(Standalone::StopLeasing { waiting });
    }
}
