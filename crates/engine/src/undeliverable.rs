//! Messages that were to be delivered, and cannot be read back.

use std::ops::Range;

use broker::{Addressed, Command, ConnectionId, Effect, Lsn, SessionId, Timestamp, Undeliverable};
use journal::BodyError;

use crate::bodies::Found;
use crate::checkpoint::HALT_REMEDY;
use crate::engine::{Engine, block_of};

impl Engine {
    /// A part of an entry could not be read. The queues of the messages in it are halted, and the sessions that wait for one
    /// end. What only was to be read ahead is nobody's loss yet.
    pub(crate) fn read_failed(&mut self, now: Timestamp, lsn: Lsn, range: &Range<u32>, error: &BodyError) {
        let is_damage = matches!(error, BodyError::Corrupt { .. } | BodyError::Storage { .. });
        for (connection, channel) in self.waiting.clone() {
            let Some(first) = self.first_in(connection, channel, lsn, range) else { continue };
            let session = channel.map(|channel| SessionId { connection, channel }).filter(|_| is_damage);
            if session.is_none_or(|session| !self.give_up(now, session, &first, error)) {
                return self.fail_with(format!(
                    "a message body of entry {} can't be read back: {error}. Nothing more is confirmed; \
                     check the disk, then look with `forebay doctor DIR`",
                    lsn.0
                ));
            }
        }
    }

    /// The first effect of a line whose message lies in this part of this entry.
    fn first_in(
        &mut self,
        connection: ConnectionId,
        channel: Option<u16>,
        lsn: Lsn,
        range: &Range<u32>,
    ) -> Option<Addressed> {
        let line = self.links.get(&connection)?.waiting.get(&channel)?;
        let is_in = |found: Found| matches!(found, Found::InJournal(of, part) if of == lsn && range.contains(&part.start));
        let mut effects = line.effects.iter();
        let first =
            effects.find(|it| it.effect.message().is_some_and(|message| is_in(self.bodies.find(*message))));
        first.cloned()
    }

    /// Ends a session that waits for a delivery that cannot come, unless it has ended. False if more than a delivery waits.
    fn give_up(&mut self, now: Timestamp, session: SessionId, first: &Addressed, error: &BodyError) -> bool {
        let (delivery_tag, asked_by) = match &first.effect {
            Effect::Deliver { delivery_tag, consumer_tag, task: None, .. } => {
                (*delivery_tag, Err(consumer_tag))
            }
            Effect::Got { delivery_tag, request, task: None, .. } => (*delivery_tag, Ok(*request)),
            _ => return false,
        };
        let reason = format!("a message cannot be read: {error}; {HALT_REMEDY}");
        let delivery = Undeliverable { session, delivery_tag, asked_by, reason: &reason };
        self.broker.undeliverable(now, &delivery, &mut self.out);
        tracing::error!(%error, "a message cannot be read: its session is closed, and its queue is halted if it waits there");
        // They never leave for the client, and its other sessions need the window.
        let bytes = self.drop_deliveries(session);
        self.handle_or_park(now, Command::Sent { connection: session.connection, bytes });
        self.take_output(session.connection);
        true
    }

    /// A session that has ended gets no more messages: they are back in their places. The bytes of those that were on their way.
    fn drop_deliveries(&mut self, session: SessionId) -> u64 {
        let line = self
            .links
            .get_mut(&session.connection)
            .and_then(|link| link.waiting.get_mut(&Some(session.channel)));
        let Some(line) = line else { return 0 };
        let (blocks, mut bytes) = (&mut self.bodies.blocks, 0);
        line.effects.retain(|addressed| {
            let is_delivery = matches!(addressed.effect, Effect::Deliver { .. } | Effect::Got { .. });
            let message = addressed.effect.message().filter(|_| is_delivery);
            bytes += message.map_or(0, |message| u64::from(message.stored_bytes));
            block_of(addressed).filter(|_| is_delivery).into_iter().for_each(|block| blocks.release(block));
            !is_delivery
        });
        bytes
    }
}
