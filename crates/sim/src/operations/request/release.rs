//! Work is given back.

use broker::Standalone;

use crate::requester::Asking;

/// Gives one back unharmed.
pub fn some(asking: &mut Asking<'_>) {
    let Some(hold) = asking.any_lease() else { return };
    let delay_ms = if asking.random.percent(60) { 0 } else { asking.random.between(1, 200) };
    asking.settle(hold.lease, Standalone::Release { lease: hold.lease, delay_ms });
}
