//! Direct reply-to: answers that reach a waiting client without a queue.
//!
//! A client consumes from [`PSEUDO_QUEUE`] and publishes requests with that name as `reply-to`. The server puts the
//! client's own unguessable address in its place; whoever answers publishes to that address.

use field_table::ShortString;

use crate::names::Names;

/// The name under which a client asks for direct replies.
pub(crate) const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

/// What each address begins with.
const ADDRESS_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// A channel's consumer of direct replies.
#[derive(Clone, Debug)]
pub(crate) struct ReplyConsumer {
    /// Its tag.
    pub(crate) consumer_tag: ShortString,
    /// Where replies reach it.
    pub(crate) address: ShortString,
}

impl ReplyConsumer {
    /// A consumer with a new address: 128 random bits, because to know it is to be allowed to reply.
    pub(crate) fn new(consumer_tag: ShortString, names: &mut Names) -> Self {
        Self { consumer_tag, address: names.generate(ADDRESS_PREFIX) }
    }
}

/// Whether `name` stands for direct replies.
pub(crate) fn is_pseudo_queue(name: &[u8]) -> bool {
    name == PSEUDO_QUEUE.as_bytes()
}
