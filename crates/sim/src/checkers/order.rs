//! P5: messages are offered by position, so those of one publisher in the order of their publishes.

use std::collections::BTreeMap;

use broker::{Effect, Envelope};
use field_table::ShortString;

use crate::line::LineId;
use crate::messages::{MessageId, Messages};
use crate::model::Journaled;
use crate::violation::Violation;

/// The last first delivery of each publisher's messages, for each consumer.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: BTreeMap<(LineId, u16, ShortString, LineId, u16), MessageId>,
}

impl Order {
    pub(super) fn said(
        &mut self,
        line: LineId,
        channel: u16,
        effect: &Effect<Envelope>,
        messages: &Messages,
    ) -> Result<(), Violation> {
        let Effect::Deliver { consumer_tag, redelivered: false, message, .. } = effect else { return Ok(()) };
        let Some(id) = messages.identify(message.body()) else { return Ok(()) };
        let publisher = &messages[id];
        if publisher.is_of_tasks {
            return Ok(());
        }
        let key = (line, channel, consumer_tag.clone(), publisher.line, publisher.channel);
        match self.last.insert(key, id) {
            Some(last) if last >= id => Err(Violation::new(
                "P5",
                format!("{id:?} was delivered behind {last:?} of the same publisher"),
            )),
            _ => Ok(()),
        }
    }
}

/// The journal has the messages of each publisher in the order of their publishes.
pub(super) fn check_journal(journaled: &Journaled, messages: &Messages) -> Result<(), Violation> {
    for queue in journaled.queues() {
        if queue.definition.name.as_bytes().starts_with(b"tokens") {
            continue;
        }
        let mut last: BTreeMap<(LineId, u16), MessageId> = BTreeMap::new();
        for id in queue.messages.values().filter_map(|message| message.id) {
            let publisher = &messages[id];
            if publisher.is_of_tasks {
                continue;
            }
            match last.insert((publisher.line, publisher.channel), id) {
                Some(before) if before >= id => {
                    let name = &queue.definition.name;
                    return Err(Violation::new("P5", format!("{id:?} stands behind {before:?} in {name}")));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
