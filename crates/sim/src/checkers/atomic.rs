//! P6: a transaction happens wholly or not at all, so each token is in exactly one of its two queues.

use std::collections::BTreeMap;

use crate::messages::{MessageId, Messages};
use crate::model::Journaled;
use crate::operations::TOKENS;
use crate::violation::Violation;

pub(super) fn check(journaled: &Journaled, messages: &Messages) -> Result<(), Violation> {
    let mut found: BTreeMap<MessageId, u32> = BTreeMap::new();
    for queue in TOKENS.into_iter().filter_map(|queue| journaled.queue(queue)) {
        for id in queue.messages.values().filter_map(|message| message.id) {
            *found.entry(id).or_default() += 1;
        }
    }
    let is_token = |queue: &Option<String>| queue.as_deref() == Some(TOKENS[0]);
    for (id, message) in messages.iter().filter(|(_, message)| is_token(&message.queue)) {
        let count = found.get(&id).copied().unwrap_or(0);
        if message.confirmed && count != 1 {
            return Err(Violation::new("P6", format!("token {id:?} is there {count} times")));
        }
    }
    Ok(())
}
