//! A consumer: who takes a queue's messages, and how many at a time.

use std::num::NonZeroU64;

use field_table::ShortString;

use crate::number_map::NumberMap;
use crate::{QueueNumber, RequestTag, SessionId};

/// The number of a consumer; never reused within a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerId(pub(crate) NonZeroU64);

/// A consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) session: SessionId,
    pub(crate) tag: ShortString,
    pub(crate) queue: QueueNumber,
    /// By which it was started.
    pub(crate) request: RequestTag,
    pub(crate) no_ack: bool,
    /// Unacked deliveries at most, 0 for no limit of its own.
    pub(crate) prefetch: u16,
    /// Unacked deliveries, also those that an open transaction has settled.
    pub(crate) unacked: u32,
    /// It stands in its queue's turns, or in the list of what it waits for.
    pub(crate) waiting: Waiting,
}

/// What a consumer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Messages: it stands in its queue's turns.
    Messages,
    /// Acks of its own deliveries.
    OwnAcks,
    /// Acks of any of its session's deliveries: it stands in the session's list.
    SessionAcks,
    /// Its connection's delivery window: it stands in the connection's list.
    Window,
}

/// The consumers of a vhost.
pub(crate) type Consumers = NumberMap<ConsumerId, Consumer>;

impl Consumer {
    /// True when its own limit allows another delivery.
    pub(crate) fn has_credit(&self) -> bool {
        self.no_ack || self.prefetch == 0 || self.unacked < u32::from(self.prefetch)
    }
}
