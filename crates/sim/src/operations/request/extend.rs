//! A worker keeps its lease.

use broker::Standalone;
use bytes::Bytes;

use crate::requester::Asking;

/// Keeps one, for as long as before or longer or shorter.
pub fn some(asking: &mut Asking<'_>) {
    let Some(hold) = asking.any_lease() else { return };
    let lease_ms = asking.random.percent(50).then(|| asking.random.between(10, 300));
    let progress = asking.random.percent(50).then(|| Bytes::from_static(b"half done"));
    asking.ask(Standalone::Extend { lease: hold.lease, lease_ms, progress });
}
