//! A queue is looked at.

use broker::Standalone;

use crate::client::name;
use crate::requester::Asking;

/// Asks for its numbers.
pub fn some(asking: &mut Asking<'_>) {
    let queue = asking.any_queue();
    asking.ask(Standalone::DescribeQueue { name: name(queue) });
}
