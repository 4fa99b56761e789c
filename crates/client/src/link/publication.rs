//! A message on its way out.

use amqp_wire::{Properties, ShortString};
use bytes::Bytes;

/// A message that is ready to be written, as often as reconnects want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The exchange; empty for the default one.
    pub exchange: ShortString,
    /// The routing key; on the default exchange the name of a queue.
    pub routing_key: ShortString,
    /// Whether reaching no queue is an error.
    pub mandatory: bool,
    /// The message id, by which a returned message is known again.
    pub message_id: ShortString,
    /// The encoded properties.
    pub properties: Bytes,
    /// The body.
    pub body: Bytes,
}

impl Publication {
    /// A publication of these properties. A message without a `message-id` gets a fresh UUIDv7.
    pub fn new(
        exchange: ShortString,
        routing_key: ShortString,
        mandatory: bool,
        mut properties: Properties,
        body: Bytes,
    ) -> Self {
        let message_id = properties.message_id.get_or_insert_with(fresh_id).clone();
        let properties = properties.to_bytes().into();
        Self { exchange, routing_key, mandatory, message_id, properties, body }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        const FIXED_BYTES: usize = 256;
        self.body.len() + self.properties.len() + FIXED_BYTES
    }
}

fn fresh_id() -> ShortString {
    ShortString::from_text_cut(uuid::Uuid::now_v7().hyphenated().encode_lower(&mut [0; 36]))
}
