//! A task is taken back.

use broker::Standalone;

use crate::requester::Asking;

/// Takes one back.
pub fn some(asking: &mut Asking<'_>) {
    if let Some(task) = asking.any_task() {
        asking.ask(Standalone::Cancel { task });
    }
}
