//! Queues that are halted, because something of theirs cannot be read back.
//!
//! Damage stays where it is: the queue hands nothing out any more, so that no message overtakes the one that cannot be had, and all
//! others go on. It still takes messages, its consumers' acks, a purge, which ends it, and a deletion.

use field_table::ShortString;

use crate::broker::{Broker, Request};
use crate::cold::Want;
use crate::output::Output;
use crate::seal::page_of_key;
use crate::{QueueNumber, Refusal, RequestTag, SessionId, Timestamp};

/// A delivery that its client cannot be given, because the message cannot be read.
#[derive(Clone, Debug)]
pub struct Undeliverable<'a> {
    /// The session.
    pub session: SessionId,
    /// What it calls the delivery.
    pub delivery_tag: u64,
    /// The request that it answers; of what a consumer was to get, its tag.
    pub asked_by: Result<RequestTag, &'a ShortString>,
    /// What is wrong, where, and what to do.
    pub reason: &'a str,
}

impl Broker {
    /// The queues that are halted, with the reasons, by name.
    pub fn halted_queues(&self) -> impl Iterator<Item = (&ShortString, &str)> {
        let queues =
            self.queue_names.iter().filter_map(|(name, number)| Some((name, self.queues.get(number)?)));
        queues.filter_map(|(name, queue)| Some((name, queue.halted.as_deref()?)))
    }

    /// What is wanted cannot be read: its queue is halted. The queue's name; nothing if it is not of one queue.
    pub fn halt(&mut self, want: &Want, reason: &str) -> Option<ShortString> {
        let Want::Page { queue, first } = want else { return None };
        let queue = self.queues.get_mut(queue)?;
        queue.strand.note_damaged(*first);
        queue.halted.get_or_insert_with(|| reason.into());
        Some(queue.definition.name.clone())
    }

    /// A row cannot be read, in a start: if no more than a queue's messages are lost by that, the queue is halted. Its name; nothing
    /// if more is lost. Like [`Self::restore`], in the order of keys.
    pub fn restore_damaged(&mut self, key: &[u8], reason: &str) -> Option<ShortString> {
        let (queue, first) = page_of_key(key)?;
        // A task without its message is more than a message that is lost.
        let of = self.queues.get_mut(&queue).filter(|of| of.tasks.is_none())?;
        of.strand.restore_damaged(first);
        self.halt(&Want::Page { queue, first }, reason)
    }

    /// A message was to be delivered, and it cannot be read. Its queue is halted, unless the message is lost anyway because nobody
    /// has to acknowledge it; the session ends, for it waits for what does not come. Nothing, if it has ended.
    pub fn undeliverable(&mut self, now: Timestamp, delivery: &Undeliverable<'_>, out: &mut Output) {
        let Undeliverable { session: id, delivery_tag, asked_by, reason } = *delivery;
        let connection = self.connections.get(&id.connection);
        let session = connection.and_then(|it| it.sessions.get(&id.channel));
        let Some(session) = session.filter(|session| !session.refused) else { return };
        let consumer = asked_by.err().and_then(|tag| self.consumers.get(session.consumers.get(tag)?));
        let tag = asked_by.ok().or(consumer.map(|consumer| consumer.request)).unwrap_or_default();
        let held = session.unacked.get(delivery_tag).and_then(|held| self.queues.get_mut(&held.queue));
        let reason = reason.to_owned();
        let refusal = match held {
            Some(queue) => {
                queue.halted.get_or_insert_with(|| reason.as_str().into());
                Refusal::QueueHalted { queue: queue.definition.name.clone(), reason }
            }
            None => Refusal::MessageLost { reason },
        };
        self.refuse(Request { now, session: id, tag }, refusal, out);
        self.dispatch(now, out);
    }

    /// Refuses to hand out messages of a queue that is halted.
    pub(crate) fn assert_not_halted(&self, number: QueueNumber) -> Result<(), Refusal> {
        let queue = &self.queues[&number];
        match &queue.halted {
            None => Ok(()),
            Some(reason) => {
                Err(Refusal::QueueHalted { queue: queue.definition.name.clone(), reason: reason.to_string() })
            }
        }
    }
}
