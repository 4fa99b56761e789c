//! The numbers by which the core names connections, sessions and queues.

use std::fmt;

/// One client connection, numbered by the shell; never reused within a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One ordered conversation on a connection: what AMQP calls a channel.
///
/// A session is a FIFO in and out: its operations take effect in order, and no effect overtakes an
/// earlier one of the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The connection that carries the session.
    pub connection: ConnectionId,
    /// The session's number on its connection.
    pub channel: u16,
}

/// The number of a queue. Given once, in order of declaration, and never reused, so that a message's
/// identity (queue, sequence) stays unambiguous after the queue's name was taken again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueNumber(pub u64);

/// What the front end wants back with the answer to an operation. Opaque to the core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTag(pub u64);

/// Milliseconds since 1970-01-01 UTC. Handed in by the caller; never runs backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.connection, self.channel)
    }
}
