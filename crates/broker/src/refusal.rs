//! Why the core refuses an operation. Facts only: codes and words are the front end's.

use std::fmt;

use field_table::{ShortString, Value};

use crate::task::{TaskId, TaskState};

/// Something with a name that an operation was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A queue.
    Queue(ShortString),
    /// An exchange.
    Exchange(ShortString),
}

/// A reason to refuse. After it the session takes nothing but its closing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such queue or exchange.
    NotFound(Resource),
    /// The queue is exclusive to another connection.
    Locked {
        /// The queue.
        queue: ShortString,
    },
    /// The queue hands nothing out any more: something of it cannot be read.
    QueueHalted {
        /// The queue.
        queue: ShortString,
        /// What cannot be read, where it is, and what to do.
        reason: String,
    },
    /// A message that nobody has to acknowledge cannot be read: it is gone.
    MessageLost {
        /// What cannot be read, where it is, and what to do.
        reason: String,
    },
    /// The queue has an exclusive consumer, or an exclusive consumer was asked for where others are.
    InExclusiveUse {
        /// The queue.
        queue: ShortString,
    },
    /// It was to be deleted only if unused, and is used.
    InUse(Resource),
    /// It was to be deleted only if empty, and is not.
    NotEmpty {
        /// The queue.
        queue: ShortString,
    },
    /// A new name begins with the reserved prefix.
    ReservedName(Resource),
    /// The default exchange can't be declared, deleted, bound or unbound.
    DefaultExchange,
    /// A predeclared exchange can't be deleted.
    SystemExchange {
        /// The exchange.
        exchange: ShortString,
    },
    /// An internal exchange takes messages from other exchanges only.
    InternalExchange {
        /// The exchange.
        exchange: ShortString,
    },
    /// No exchange has such a type.
    UnknownExchangeType {
        /// The type that was asked for.
        kind: ShortString,
    },
    /// It exists with another value of a field or argument.
    Inequivalent {
        /// What exists.
        resource: Resource,
        /// The field or argument that differs.
        argument: ShortString,
        /// What the declaration says, `None` if nothing.
        received: Option<Described>,
        /// What is in force, `None` if nothing.
        current: Option<Described>,
    },
    /// The `x-match` argument of a binding to a headers exchange is not a string.
    HeadersMatchType {
        /// What it is instead.
        value: Value,
    },
    /// The `x-match` argument of a binding to a headers exchange is none of the known words.
    HeadersMatchValue {
        /// What it says.
        value: ShortString,
    },
    /// The session already has a consumer of this tag. The connection ends.
    ConsumerTagInUse {
        /// The tag.
        tag: ShortString,
    },
    /// No unacked delivery has this tag.
    UnknownDeliveryTag {
        /// The tag.
        delivery_tag: u64,
    },
    /// The session holds as many unacked deliveries as it may.
    TooManyUnacked {
        /// The bound.
        limit: u64,
    },
    /// The session has selected confirms and asks for transactions.
    ConfirmToTransaction,
    /// The session has selected transactions and asks for confirms.
    TransactionToConfirm,
    /// Commit or rollback without transactions.
    NotTransactional,
    /// The open transaction is over its bound; nothing of it is done.
    TransactionTooLarge {
        /// Which bound, as `bytes` or `operations`.
        unit: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The arguments of a binding are too large to be kept.
    BindingTooLarge {
        /// Bytes that the binding would take.
        bytes: usize,
        /// The most that it may.
        limit: usize,
    },
    /// A consumer of direct replies has to be `no_ack`.
    ReplyConsumerAcknowledges,
    /// The session already has a consumer of direct replies.
    ReplyConsumerExists,
    /// The reply pseudo-queue and the reply addresses can't be bound or unbound.
    ReplyQueueBound {
        /// Its name.
        queue: ShortString,
    },
    /// The reply pseudo-queue and the reply addresses hold nothing that could be taken by hand.
    ReplyQueueRead {
        /// Its name.
        queue: ShortString,
    },
    /// No queue took a message that has to reach one.
    Unroutable {
        /// The exchange that it was published to.
        exchange: ShortString,
        /// The key.
        routing_key: ShortString,
    },
    /// The queue's messages are no tasks.
    NotATaskQueue {
        /// The queue.
        queue: ShortString,
    },
    /// An argument of a queue has a value that it cannot have.
    InvalidArgument {
        /// The queue.
        queue: ShortString,
        /// The argument.
        argument: ShortString,
        /// What it has to be.
        expected: &'static str,
    },
    /// An option of a task has a value that it cannot have.
    InvalidTaskOption {
        /// The property or header.
        option: &'static str,
        /// What it says.
        value: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The queue holds as many unfinished tasks as it may.
    QueueFull {
        /// The queue.
        queue: ShortString,
        /// Unfinished tasks.
        backlog: u64,
        /// How many it may hold.
        limit: u64,
        /// About how long until there is room, in milliseconds; none when nothing was done lately.
        retry_after_ms: Option<u64>,
    },
    /// The storage has no room for the messages; nothing was stored.
    NoRoom {
        /// What they take, in bytes.
        needed_bytes: u64,
        /// What there is for messages, in bytes.
        room_bytes: u64,
        /// What is kept for acks, deletions and the like, in bytes.
        reserve_bytes: u64,
    },
    /// There is no such task, or no longer.
    NoSuchTask {
        /// The task that was asked for.
        task: TaskId,
    },
    /// The task has ended already.
    TaskEnded {
        /// The task.
        task: TaskId,
        /// How.
        state: TaskState,
    },
    /// The lease is not, or no longer, a hold on a task: nothing was stored or published.
    LeaseLost {
        /// The task, if it is known.
        task: Option<TaskId>,
        /// Its state and the epoch of its last delivery, if it is known.
        now: Option<(TaskState, u64)>,
    },
    /// The lease was settled already, in another way.
    LeaseSettled {
        /// The task.
        task: TaskId,
        /// Where the first settlement has brought it.
        state: TaskState,
    },
    /// The idempotency key stands for another request.
    KeyReused {
        /// The key.
        key: ShortString,
        /// The task of the first request.
        task: TaskId,
    },
    /// A transaction answers a delivery that it does not hold any more; nothing of it is done.
    StaleReply,
    /// The front end's own refusal, passed through in its place.
    FrontEnd {
        /// The code.
        code: u16,
        /// The text.
        text: String,
    },
}

/// A value with the name of its type, as an error text shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The value, in words.
    pub value: String,
    /// The type's name; `None` for fields of a fixed type, where only the value is shown.
    pub type_name: Option<&'static str>,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "queue '{name}'"),
            Self::Exchange(name) => write!(f, "exchange '{name}'"),
        }
    }
}
