//! All messages that clients have ever published, and what clients know of them.

use std::ops::{Index, IndexMut};

use crate::line::LineId;

/// The number of a message. It is the first thing in the body, so that it is known again wherever it turns up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

/// Whether a message was settled for good, as far as its clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settled {
    /// Nobody has asked for it.
    No,
    /// Somebody has asked; a crash may undo it.
    Asked,
    /// Somebody has asked, and has been told something that rests on it.
    Surely,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The queue that it goes to, or nothing when that depends on bindings.
    pub queue: Option<String>,
    /// Its delivery mode is 2.
    pub persistent: bool,
    /// Who published it.
    pub line: LineId,
    /// On which channel.
    pub channel: u16,
    /// Its publisher was told that it is safe.
    pub confirmed: bool,
    /// Its publisher was told that it was not taken, or rolled it back.
    pub refused: bool,
    /// Whether it may be gone by the will of those who had it.
    pub settled: Settled,
    /// Its first delivery was told.
    pub delivered: bool,
    /// A task, its result, or what follows from it: such come at their own times.
    pub is_of_tasks: bool,
    /// It has an idempotency key: published again when that is forgotten, it is a new message.
    pub is_keyed: bool,
}

/// The messages by their numbers.
#[derive(Debug, Default)]
pub struct Messages(Vec<Message>);

impl Messages {
    /// Notes a message that is about to be published; its number and its body.
    pub fn publish(&mut self, message: Message, body_bytes: usize) -> (MessageId, Vec<u8>) {
        self.0.push(message);
        let id = MessageId(self.0.len() as u64);
        (id, body(id, body_bytes))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &Message)> {
        (1..).map(MessageId).zip(&self.0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes of all messages of a queue that they may be gone.
    pub fn settle_queue(&mut self, queue: &str, settled: Settled) {
        for message in self.0.iter_mut().filter(|message| message.queue.as_deref() == Some(queue)) {
            message.settled = message.settled.max(settled);
        }
    }

    /// The number of the message that has this body, if it is one of ours and whole.
    #[must_use]
    pub fn identify(&self, found: &[u8]) -> Option<MessageId> {
        let id = number(found)?;
        (id.0 <= self.0.len() as u64 && found == body(id, found.len())).then_some(id)
    }
}

impl Index<MessageId> for Messages {
    type Output = Message;

    fn index(&self, id: MessageId) -> &Message {
        &self.0[id.0 as usize - 1]
    }
}

impl IndexMut<MessageId> for Messages {
    fn index_mut(&mut self, id: MessageId) -> &mut Message {
        &mut self.0[id.0 as usize - 1]
    }
}

/// The number in front of a body.
#[must_use]
pub fn number(body: &[u8]) -> Option<MessageId> {
    let text = body.strip_prefix(b"m")?;
    let end = text.iter().position(|byte| *byte == b'.')?;
    std::str::from_utf8(&text[..end]).ok()?.parse().ok().filter(|number| *number > 0).map(MessageId)
}

/// A body that no other message has: its number and letters that follow from it.
fn body(id: MessageId, bytes: usize) -> Vec<u8> {
    let mut body = format!("m{}.", id.0).into_bytes();
    let mut mixed = id.0;
    while body.len() < bytes {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        body.push(b'a' + (mixed >> 59) as u8 % 26);
    }
    body
}
