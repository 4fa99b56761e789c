//! Direct replies: answers that go to a waiting session without a queue.

/// The pseudo-queue that a requester consumes from and names in `reply-to`.
///
/// Source: RabbitMQ's guide "Direct Reply-to".
pub const REPLY_QUEUE: &[u8] = b"amq.rabbitmq.reply-to";

/// True for an address that a responder publishes to: the pseudo-queue's name, a dot, and an opaque rest.
#[must_use]
pub fn is_reply_address(key: &[u8]) -> bool {
    key.strip_prefix(REPLY_QUEUE).is_some_and(|rest| rest.len() > 1 && rest[0] == b'.')
}

/// True for the pseudo-queue and for each reply address.
pub(crate) fn is_reply_queue(name: &[u8]) -> bool {
    name == REPLY_QUEUE || is_reply_address(name)
}

/// Bytes of replies that may wait for a connection that does not read; what comes beyond is dropped and counted.
pub(crate) const UNSENT_REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;
