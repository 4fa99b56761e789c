//! A message that was handed out before says so: only its first delivery does not.
//!
//! Deliveries to different clients may be told in another order than they were decided in, so a marked one may come first.

use broker::{Effect, Envelope};

use crate::messages::Messages;
use crate::violation::Violation;

pub(super) fn check(effect: &Effect<Envelope>, messages: &mut Messages) -> Result<(), Violation> {
    let (message, redelivered) = match effect {
        Effect::Deliver { message, redelivered, .. } | Effect::Got { message, redelivered, .. } => {
            (message, *redelivered)
        }
        _ => return Ok(()),
    };
    let Some(id) = messages.identify(message.body()) else { return Ok(()) };
    let message = &mut messages[id];
    // What goes to several queues, or is published again, is delivered once in each.
    let is_alone =
        message.queue.as_ref().is_some_and(|queue| !queue.starts_with("tokens")) && !message.is_keyed;
    if is_alone && message.delivered && !redelivered {
        return Err(Violation::new(
            "redelivered",
            format!("{id:?} was delivered before and is not marked: {message:?}"),
        ));
    }
    message.delivered |= !redelivered;
    Ok(())
}
