//! A connection ends in peace.

use amqp_wire::{ShortString, connection};

use crate::client::{Phase, Turn};

/// Says goodbye.
pub fn close(turn: &mut Turn<'_>) {
    turn.client.phase = Phase::Leaving;
    let close =
        connection::Close { reply_code: 200, reply_text: ShortString::default(), class_id: 0, method_id: 0 };
    turn.client.send(0, close);
}
