//! Questions and answers without a queue for the answers.

use amqp_wire::{Properties, basic};

use super::CALLS;
use crate::client::{Consumer, Publishing, Request, Turn, name};
use crate::model::Ending;

/// The pseudo-queue of direct replies.
pub const REPLIES: &str = "amq.rabbitmq.reply-to";

/// Waits for answers.
pub fn listen(turn: &mut Turn<'_>) {
    let consumer = Consumer { queue: REPLIES.to_owned(), no_ack: true };
    turn.channel().consumers.insert("replies".to_owned(), consumer);
    let consume = basic::Consume {
        queue: name(REPLIES),
        consumer_tag: name("replies"),
        no_ack: true,
        ..basic::Consume::default()
    };
    turn.ask(Request::Consume("replies".to_owned()), consume);
}

/// Asks.
pub fn ask(turn: &mut Turn<'_>) {
    let properties = Properties { reply_to: Some(name(REPLIES)), ..Properties::default() };
    turn.publish(&Publishing { properties, persistent: false, ..Publishing::to(CALLS) });
}

/// Answers one question, and settles it.
pub fn answer(turn: &mut Turn<'_>) {
    let Some(tag) = turn.any_held() else { return };
    if let Some(address) = turn.channel().held[&tag].reply_to.clone() {
        turn.send_content(&Publishing { persistent: false, ..Publishing::to(&address) }, b"answer");
    }
    turn.settle(tag, false, Ending::Removed);
}
