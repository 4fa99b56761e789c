//! All unsettled deliveries of a channel return.

use amqp_wire::basic;

use crate::client::{Request, Turn};

/// Returns them, also those that are on their way: until the answer comes nothing else is done on the channel.
pub fn all(turn: &mut Turn<'_>) {
    turn.channel().is_open = false;
    turn.ask(Request::Recover, basic::Recover { requeue: true });
}
