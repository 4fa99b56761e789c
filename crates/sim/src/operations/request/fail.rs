//! Work failed.

use broker::{Fail, Standalone};
use message_properties::Properties;

use crate::requester::Asking;

/// Says so, and whether it is to be tried again, and when.
pub fn some(asking: &mut Asking<'_>) {
    let Some(hold) = asking.any_lease() else { return };
    let lease = hold.lease;
    if let Some(before @ Standalone::Fail(_)) = &hold.settled_by {
        return asking.settle(lease, before.clone());
    }
    let error = asking.message(None, &Properties::default()).1;
    let retry = asking.random.percent(75);
    let delay_ms = asking.random.percent(60).then(|| asking.random.below(200));
    asking.settle(lease, Standalone::Fail(Fail { lease, status: None, error, retry, delay_ms }));
}
