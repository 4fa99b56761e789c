//! A message is published without a task.

use broker::{Publish, Standalone};
use message_properties::Properties;

use crate::operations::NEXT;
use crate::requester::Asking;

/// Publishes to the queue of what follows.
pub fn follow_up(asking: &mut Asking<'_>) {
    let (_, envelope) = asking.message(Some(NEXT), &Properties::default());
    let mandatory = asking.random.percent(50);
    asking.ask(Standalone::Publish(Publish { envelope, mandatory, persistent: true, headers: None }));
}
