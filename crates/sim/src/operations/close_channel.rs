//! A channel ends in peace.

use amqp_wire::{ShortString, channel};

use crate::client::{Request, Turn};

/// Closes the channel.
pub fn close(turn: &mut Turn<'_>) {
    turn.channel().is_open = false;
    let close =
        channel::Close { reply_code: 200, reply_text: ShortString::default(), class_id: 0, method_id: 0 };
    turn.ask(Request::Close, close);
}
