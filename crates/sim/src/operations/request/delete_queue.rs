//! A task queue is deleted.

use broker::Standalone;

use crate::client::name;
use crate::operations::BRIEF;
use crate::requester::Asking;

/// Deletes the one that comes and goes, with its tasks.
pub fn brief(asking: &mut Asking<'_>) {
    let (if_unused, if_empty) = (asking.random.percent(20), asking.random.percent(20));
    asking.ask(Standalone::DeleteQueue { name: name(BRIEF), if_unused, if_empty });
}
