//! What the core asks of the world: the closed list of its outputs.

use field_table::ShortString;

use crate::task::{Grant, QueueReport, Settlement, TaskDelivery, TaskState, TaskView};
use crate::{ConnectionId, Envelope, Lsn, Place, Refusal, RequestTag, SessionId, Timestamp};

/// Where an effect goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// A session, in the order of its effects.
    Session(SessionId),
    /// A connection as a whole.
    Connection(ConnectionId),
}

/// An effect and what it waits for.
#[derive(Clone, Debug)]
pub struct Addressed<M = StoredMessage> {
    /// Who gets it.
    pub to: Recipient,
    /// The position that must be durable first; [`Lsn::NONE`] waits for nothing.
    pub after: Lsn,
    /// The effect.
    pub effect: Effect<M>,
}

/// One thing to tell a client.
///
/// `M` is how a message is named: the core names a [`StoredMessage`], and whoever releases the effect
/// puts the [`Envelope`] itself in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<M = StoredMessage> {
    /// An operation succeeded.
    Answered {
        /// The tag of the request.
        request: RequestTag,
        /// The answer.
        answer: Answer,
    },
    /// An operation was refused, and the session (or, if the refusal says so, the connection) takes nothing more.
    Refused {
        /// The tag of the request.
        request: RequestTag,
        /// Why. Boxed: refusals are rare and large, and effects are neither.
        refusal: Box<Refusal>,
    },
    /// A message for a consumer.
    Deliver {
        /// The consumer.
        consumer_tag: ShortString,
        /// By which it is settled; counts from 1 in each session.
        delivery_tag: u64,
        /// It was, or may have been, delivered before.
        redelivered: bool,
        /// For a task: what its worker is told beside the message.
        task: Option<Box<TaskDelivery>>,
        /// The message.
        message: M,
    },
    /// The message that a `Get` asked for.
    Got {
        /// The tag of the request.
        request: RequestTag,
        /// By which it is settled.
        delivery_tag: u64,
        /// It was, or may have been, delivered before.
        redelivered: bool,
        /// Ready messages left in the queue.
        remaining: u64,
        /// For a task: what its worker is told beside the message.
        task: Option<Box<TaskDelivery>>,
        /// The message.
        message: M,
    },
    /// A direct reply for the session's reply consumer. It was never in a queue.
    Replied {
        /// The reply consumer.
        consumer_tag: ShortString,
        /// Counts as any delivery's tag does; there is nothing to settle.
        delivery_tag: u64,
        /// The reply, with the full reply address as its routing key.
        envelope: Envelope,
    },
    /// A reply that was stored before: a task's result for a caller that came back. Else as `Replied`.
    RepliedAgain {
        /// The reply consumer.
        consumer_tag: ShortString,
        /// Counts as any delivery's tag does; there is nothing to settle.
        delivery_tag: u64,
        /// The address that was asked for, and the request that is answered.
        reply: Box<ReplyHead>,
        /// How the task ended, which the stored reply itself need not say.
        state: TaskState,
        /// The stored reply.
        message: M,
    },
    /// A task, as a `Watch` asked for it.
    Task {
        /// The tag of the request.
        request: RequestTag,
        /// The task.
        view: Box<TaskView>,
        /// Its result, if it was asked for and there is one.
        result: Option<M>,
    },
    /// A task for a worker that asked for leases.
    Leased {
        /// The tag of the request.
        request: RequestTag,
        /// The task and the worker's hold on it.
        grant: Box<Grant>,
        /// The task's message.
        message: M,
    },
    /// Publishes are safe: all of the session's from after the last confirm or rejection up to this one.
    Confirmed {
        /// The number of the last publish confirmed.
        up_to: u64,
    },
    /// A publish was not taken.
    Rejected {
        /// Its number.
        sequence: u64,
    },
    /// A mandatory publish found no queue. Comes before its confirm.
    Returned {
        /// The message, as it was published.
        envelope: Envelope,
    },
    /// A consumer ended because its queue did.
    ConsumerCancelled {
        /// Its tag.
        consumer_tag: ShortString,
    },
    /// The storage is short, and publishes of the connection are not taken. Once for as long as it is short.
    Blocked,
    /// The storage is no longer short.
    Unblocked,
    /// Nothing of the connection is left; no effect follows.
    Disconnected,
}

/// How the core names a message: where its envelope lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Where the stored envelope begins.
    pub place: Place,
    /// Bytes of the stored envelope.
    pub stored_bytes: u32,
}

/// Where a reply goes and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyHead {
    /// The address, which stands in place of the reply's routing key.
    pub address: ShortString,
    /// The request's correlation id, if it had one.
    pub correlation_id: Option<ShortString>,
}

/// A positive answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To `OpenSession`.
    SessionOpened,
    /// To `CloseSession`.
    SessionClosed,
    /// To `Echo`.
    Echoed,
    /// To `DeclareExchange`.
    ExchangeDeclared,
    /// To `DeleteExchange`.
    ExchangeDeleted,
    /// To `BindExchange`.
    ExchangeBound,
    /// To `UnbindExchange`.
    ExchangeUnbound,
    /// To `DeclareQueue`.
    QueueDeclared {
        /// The queue's name.
        name: ShortString,
        /// Its ready messages.
        messages: u64,
        /// Its consumers.
        consumers: u64,
    },
    /// To `BindQueue`.
    QueueBound,
    /// To `UnbindQueue`.
    QueueUnbound,
    /// To `PurgeQueue`.
    QueuePurged {
        /// Messages dropped.
        messages: u64,
    },
    /// To `DeleteQueue`.
    QueueDeleted {
        /// Ready messages dropped.
        messages: u64,
    },
    /// To `SetPrefetch`.
    PrefetchSet,
    /// To `Consume`.
    ConsumerStarted {
        /// The consumer's tag.
        tag: ShortString,
    },
    /// To `Cancel`.
    ConsumerStopped {
        /// The consumer's tag.
        tag: ShortString,
    },
    /// To `Get` on an empty queue.
    GetEmpty,
    /// To `Recover`.
    Recovered,
    /// To `SelectConfirm`.
    ConfirmSelected,
    /// To `SelectTransaction`.
    TransactionSelected,
    /// To `Commit`.
    Committed,
    /// To `Rollback`.
    RolledBack,
    /// To `DescribeQueue`.
    Queue(Box<QueueReport>),
    /// To a `Publish` that stands alone.
    Published {
        /// Queues that took the message.
        queues: u64,
    },
    /// To `Enqueue`.
    Enqueued {
        /// The tasks, in the order of the request; as they are now, if the request was a repeated one.
        tasks: Vec<TaskView>,
        /// The request was a repeated one, and nothing was added.
        replayed: bool,
    },
    /// To `Cancel`.
    Cancelled(Box<TaskView>),
    /// To `Lease`, behind the tasks.
    LeasesGranted {
        /// How many.
        count: u32,
    },
    /// To `Extend`.
    LeaseExtended {
        /// When the hold ends if it is not extended again.
        expires_at: Timestamp,
        /// The task was cancelled: the work is in vain.
        cancelled: bool,
    },
    /// To `Complete`, `Fail` and `Release`.
    Settled(Box<Settlement>),
}

impl<M> Effect<M> {
    /// The message named by the effect, if any.
    pub fn message(&self) -> Option<&M> {
        match self {
            Self::Deliver { message, .. }
            | Self::Got { message, .. }
            | Self::RepliedAgain { message, .. }
            | Self::Leased { message, .. } => Some(message),
            Self::Task { result, .. } => result.as_ref(),
            _ => None,
        }
    }

    /// The same effect with its message named in another way. `map` is called at most once.
    pub fn map_message<N>(self, map: impl FnOnce(M) -> N) -> Effect<N> {
        match self {
            Self::Deliver { consumer_tag, delivery_tag, redelivered, task, message } => {
                Effect::Deliver { consumer_tag, delivery_tag, redelivered, task, message: map(message) }
            }
            Self::Got { request, delivery_tag, redelivered, remaining, task, message } => {
                Effect::Got { request, delivery_tag, redelivered, remaining, task, message: map(message) }
            }
            Self::RepliedAgain { consumer_tag, delivery_tag, reply, state, message } => {
                Effect::RepliedAgain { consumer_tag, delivery_tag, reply, state, message: map(message) }
            }
            Self::Task { request, view, result } => Effect::Task { request, view, result: result.map(map) },
            Self::Leased { request, grant, message } => {
                Effect::Leased { request, grant, message: map(message) }
            }
            Self::Answered { request, answer } => Effect::Answered { request, answer },
            Self::Refused { request, refusal } => Effect::Refused { request, refusal },
            Self::Replied { consumer_tag, delivery_tag, envelope } => {
                Effect::Replied { consumer_tag, delivery_tag, envelope }
            }
            Self::Confirmed { up_to } => Effect::Confirmed { up_to },
            Self::Rejected { sequence } => Effect::Rejected { sequence },
            Self::Returned { envelope } => Effect::Returned { envelope },
            Self::ConsumerCancelled { consumer_tag } => Effect::ConsumerCancelled { consumer_tag },
            Self::Blocked => Effect::Blocked,
            Self::Unblocked => Effect::Unblocked,
            Self::Disconnected => Effect::Disconnected,
        }
    }
}
