//! A task is looked at, or waited for.

use broker::Standalone;

use crate::requester::{Asking, any_until};

/// Looks at a task.
pub fn some(asking: &mut Asking<'_>) {
    let Some(task) = asking.any_task() else { return };
    let (until, with_result) = (any_until(asking.random), asking.random.percent(70));
    asking.ask(Standalone::Watch { task, until, with_result });
}

/// Waits no more.
pub fn stop(asking: &mut Asking<'_>) {
    let is_watch = |operation: &Standalone| matches!(operation, Standalone::Watch { .. });
    let Some(watch) = asking.any_waiting(is_watch) else { return };
    asking.requester.waiting.remove(&watch.0);
    asking.requester.stopped.insert(watch.0);
    asking.ask(Standalone::StopWatching { watch });
}
