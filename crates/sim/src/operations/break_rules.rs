//! What no client should do: it costs the channel, and nobody else notices.

use amqp_wire::hot;

use crate::client::{Publishing, Turn};

/// Publishes to an exchange that there is not.
pub fn publish_to_missing_exchange(turn: &mut Turn<'_>) {
    turn.channel().is_open = false;
    let publishing = Publishing { exchange: "missing", ..Publishing::to("") };
    turn.send_content(&publishing, b"lost");
}

/// Settles what was never delivered.
pub fn settle_twice(turn: &mut Turn<'_>) {
    let channel = turn.channel();
    channel.is_open = false;
    let tag = channel.last_tag + 1000;
    let number = turn.number;
    hot::ack(&mut turn.client.output, number, tag, false);
}
