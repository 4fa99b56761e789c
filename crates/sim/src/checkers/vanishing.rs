//! P2: a confirmed message stays until somebody wants it gone. And what was refused was not taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::messages::{MessageId, Messages, Settled};
use crate::model::Journaled;
use crate::operations::{NEXT, PURGED, WORK};
use crate::violation::Violation;

pub(super) fn check(journaled: &Journaled, messages: &Messages) -> Result<(), Violation> {
    let found: BTreeMap<&str, BTreeSet<MessageId>> =
        WORK.into_iter().chain([PURGED, NEXT]).map(|queue| (queue, ids(journaled, queue))).collect();
    for (id, message) in messages.iter() {
        let Some(found) = message.queue.as_ref().and_then(|queue| found.get(queue.as_str())) else {
            continue;
        };
        let is_there = found.contains(&id);
        let must_be = message.confirmed && message.persistent && message.settled == Settled::No;
        if must_be && !is_there {
            return Err(Violation::new("P2", format!("{id:?} was confirmed and is gone: {message:?}")));
        }
        if message.refused && is_there {
            return Err(Violation::new("P6", format!("{id:?} was refused and is there: {message:?}")));
        }
    }
    Ok(())
}

fn ids(journaled: &Journaled, queue: &str) -> BTreeSet<MessageId> {
    let messages = journaled.queue(queue).map(|queue| queue.messages.values());
    messages.into_iter().flatten().filter_map(|message| message.id).collect()
}
