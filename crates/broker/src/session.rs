//! Connections and the sessions on them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use field_table::ShortString;

use crate::consumer::ConsumerId;
use crate::number_map::NumberMap;
use crate::task::TaskId;
use crate::transaction::Transaction;
use crate::unacked::Unacked;
use crate::{ConnectionId, QueueNumber, RequestTag, SessionId};

/// A client's connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Who it is.
    pub(crate) user: ShortString,
    pub(crate) sessions: BTreeMap<u16, Session>,
    /// Queues that go with the connection.
    pub(crate) exclusive_queues: BTreeSet<QueueNumber>,
    /// Bytes of messages handed out and not yet sent.
    pub(crate) unsent_bytes: u64,
    /// Consumers that wait for the window, in turn.
    pub(crate) stalled: VecDeque<ConsumerId>,
    /// It was told that the storage is short.
    pub(crate) is_blocked: bool,
    /// Tasks that its requests wait for, by request.
    pub(crate) watches: BTreeMap<RequestTag, TaskId>,
    /// Queues that its requests wait for tasks of.
    pub(crate) pulls: BTreeMap<RequestTag, QueueNumber>,
}

/// The connections of a vhost.
pub(crate) type Connections = NumberMap<ConnectionId, Connection>;

/// One ordered conversation.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// It was refused something: nothing but its closing counts any more.
    pub(crate) refused: bool,
    pub(crate) mode: Mode,
    last_delivery_tag: u64,
    pub(crate) unacked: Unacked,
    /// Tasks that it has without an unacked delivery: their replies are to come.
    pub(crate) awaited: BTreeSet<TaskId>,
    pub(crate) consumers: BTreeMap<ShortString, ConsumerId>,
    /// What new consumers get as their own limit; 0 for none.
    pub(crate) consumer_prefetch: u16,
    /// Limit over all consumers of the session; 0 for none.
    pub(crate) shared_prefetch: u16,
    /// Unacked deliveries that count against the shared limit: all but those taken by `Get`.
    pub(crate) consumer_unacked: u64,
    /// Consumers that wait for acks of others of the session, in turn.
    pub(crate) stalled: VecDeque<ConsumerId>,
    pub(crate) reply_consumer: Option<ReplyConsumer>,
}

/// A consumer of direct replies.
#[derive(Debug)]
pub(crate) struct ReplyConsumer {
    pub(crate) tag: ShortString,
    pub(crate) address: ShortString,
}

/// How publishes are answered.
#[derive(Debug, Default)]
pub(crate) enum Mode {
    /// Not at all.
    #[default]
    Plain,
    /// Each gets a number, from 1, and a confirm.
    Confirm {
        /// Publishes so far.
        published: u64,
    },
    /// They are collected until the commit.
    Transaction(Transaction),
}

impl Mode {
    /// The open transaction, if it has one.
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        match self {
            Self::Transaction(open) => Some(open),
            Self::Plain | Self::Confirm { .. } => None,
        }
    }
}

impl Session {
    /// A session holds this many unacked deliveries at most, also where no prefetch is set: what is held is in
    /// memory (promise P7).
    pub(crate) const UNACKED_MAX: usize = 1_048_576;

    pub(crate) fn next_delivery_tag(&mut self) -> u64 {
        self.last_delivery_tag += 1;
        self.last_delivery_tag
    }

    /// True when it may hold another delivery, or another task whose reply is to come.
    pub(crate) fn has_room(&self) -> bool {
        self.unacked.len() + self.awaited.len() < Self::UNACKED_MAX
    }

    /// True when the limits that its consumers share allow another delivery.
    pub(crate) fn has_credit(&self) -> bool {
        self.has_room()
            && (self.shared_prefetch == 0 || self.consumer_unacked < u64::from(self.shared_prefetch))
    }
}

/// A session's place among the connections.
pub(crate) fn session_mut(connections: &mut Connections, id: SessionId) -> Option<&mut Session> {
    connections.get_mut(&id.connection)?.sessions.get_mut(&id.channel)
}
