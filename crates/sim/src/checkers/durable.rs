//! P1: what was settled for good does not come back, and what was confirmed was written.

use std::collections::BTreeSet;

use crate::messages::{MessageId, Messages, Settled};
use crate::model::Journaled;
use crate::node::Tap;
use crate::violation::Violation;

pub(super) fn check(
    journaled: &Journaled,
    messages: &Messages,
    tap: &Tap,
    after_crash: bool,
) -> Result<(), Violation> {
    if !after_crash {
        return Ok(());
    }
    let there: BTreeSet<MessageId> = journaled
        .queues()
        .filter(|queue| !queue.definition.name.as_bytes().starts_with(b"tokens"))
        .flat_map(|queue| queue.messages.values().filter_map(|message| message.id))
        .collect();
    let back =
        there.iter().find(|id| messages[**id].settled == Settled::Surely && messages[**id].queue.is_some());
    match back {
        Some(id) => {
            let durable = tap.told_durable();
            Err(Violation::new(
                "P1",
                format!("{id:?} was settled for good, and is there again at entry {durable}"),
            ))
        }
        None => Ok(()),
    }
}
