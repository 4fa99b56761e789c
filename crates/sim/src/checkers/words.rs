//! Commands and effects in a few words, for the log of a run that is looked at.

use broker::{Command, Effect, Envelope, Operation};

use crate::line::LineId;
use crate::messages::number;

/// What a client asks for.
pub(super) fn told(line: LineId, command: &Command) -> String {
    match command {
        Command::Session { session, operation: Operation::Publish(publish), .. } => {
            format!("{line}/{} -> publishes {}", session.channel, message(&publish.envelope))
        }
        Command::Session { session, operation, .. } => format!("{line}/{} -> {operation:?}", session.channel),
        other => format!("{line} -> {other:?}"),
    }
}

/// What it is told.
pub(super) fn said(line: LineId, channel: u16, effect: &Effect<Envelope>) -> String {
    match effect {
        Effect::Deliver { consumer_tag, delivery_tag, redelivered, message: envelope, .. } => {
            let (what, again) = (message(envelope), if *redelivered { " again" } else { "" });
            format!("{line}/{channel} <- {consumer_tag} gets {what}{again} as {delivery_tag}")
        }
        Effect::Got { delivery_tag, redelivered, message: envelope, .. } => {
            let (what, again) = (message(envelope), if *redelivered { " again" } else { "" });
            format!("{line}/{channel} <- got {what}{again} as {delivery_tag}")
        }
        Effect::Answered { answer, .. } => format!("{line}/{channel} <- {answer:?}"),
        Effect::Refused { refusal, .. } => format!("{line}/{channel} <- refused: {refusal:?}"),
        Effect::Confirmed { up_to } => format!("{line}/{channel} <- confirmed up to {up_to}"),
        other => format!("{line}/{channel} <- {:.200}", format!("{other:?}")),
    }
}

fn message(envelope: &Envelope) -> String {
    let key = String::from_utf8_lossy(envelope.routing_key());
    match number(envelope.body()) {
        Some(id) => format!("m{} to {key}", id.0),
        None => format!("{} bytes to {key}", envelope.body().len()),
    }
}
