//! Work is done.

use broker::{Complete, Envelope, Standalone};
use message_properties::Properties;

use super::super::{JOBS, NEXT, SMALL};
use crate::requester::{Asking, Hold};

/// Says so, perhaps with a result, and with what follows from it.
pub fn some(asking: &mut Asking<'_>) {
    let Some(hold) = asking.any_lease() else { return };
    let count = if asking.random.percent(60) { 0 } else { asking.random.between(1, 3) };
    let queues: Vec<&str> = (0..count).map(|_| *asking.random.pick(&[NEXT, NEXT, JOBS])).collect();
    complete(asking, &hold, &queues);
}

/// Says so with more than the small queue can take, so that nothing is done.
pub fn with_too_much(asking: &mut Asking<'_>) {
    let Some(hold) = asking.any_lease() else { return };
    complete(asking, &hold, &[NEXT, SMALL, SMALL]);
}

fn complete(asking: &mut Asking<'_>, hold: &Hold, queues: &[&str]) {
    let lease = hold.lease;
    if let Some(before @ Standalone::Complete(_)) = &hold.settled_by {
        return asking.settle(lease, before.clone());
    }
    let status = if asking.random.percent(80) { None } else { Some(*asking.random.pick(&[201, 422, 500])) };
    let result = asking.random.percent(70).then(|| asking.message(None, &Properties::default()).1);
    let publish: Vec<Envelope> =
        queues.iter().map(|queue| asking.message(Some(queue), &Properties::default()).1).collect();
    asking.settle(lease, Standalone::Complete(Complete { lease, status, result, publish }));
}
