//! What can happen to the core: the closed list of its inputs.

use field_table::{ShortString, Table};

use crate::standalone::Standalone;
use crate::{ConnectionId, Envelope, Refusal, RequestTag, SessionId};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Command {
    /// A client connected and may use this vhost.
    Connect {
        /// The new connection.
        connection: ConnectionId,
        /// Who it is: scope of the idempotency keys of its publishes.
        user: ShortString,
    },
    /// A connection ended, in peace or not: its sessions close as by [`Operation::CloseSession`], without
    /// answers, and its exclusive queues are deleted. Answered by [`crate::Effect::Disconnected`].
    Disconnect {
        /// The connection that is gone.
        connection: ConnectionId,
        /// It broke, and was not closed: the tasks that its consumers were working on have crashed.
        lost: bool,
    },
    /// Time has come for something that waits for it: see [`crate::Broker::next_deadline`].
    Tick,
    /// Bytes of deliveries have left for the client: its delivery window opens again by as much.
    Sent {
        /// The connection that sent them.
        connection: ConnectionId,
        /// How many bytes of envelopes left.
        bytes: u64,
    },
    /// A publish that was [held back](crate::HeldBack): there may be room for it now. Its session may be gone.
    PublishAgain {
        /// The session that it came from.
        session: SessionId,
        /// The publish.
        publish: Publish,
    },
    /// Something on a session.
    Session {
        /// The session.
        session: SessionId,
        /// What the front end wants back with the answer.
        request: RequestTag,
        /// What to do.
        operation: Operation,
    },
    /// A request that belongs to no session.
    Standalone {
        /// Whose it is, and where the answer goes: answers of one lane come in order. Lanes need no opening; they are
        /// not the connection's sessions, and a connection has either the one or the other.
        lane: SessionId,
        /// What the front end wants back with the answer.
        request: RequestTag,
        /// What is asked. Boxed: a command is moved several times on its way, and publishes and settlements on sessions are smaller.
        operation: Box<Standalone>,
    },
}

/// What a session asks for. Answers are [`crate::Answer`]s unless said otherwise; each operation may be refused
/// ([`crate::Effect::Refused`]), after which the session takes nothing but [`Operation::CloseSession`].
#[derive(Clone, Debug)]
pub enum Operation {
    /// Begins the session. Answer `SessionOpened`.
    OpenSession,
    /// Ends the session: consumers are cancelled, unacked messages return to their places, an open
    /// transaction is dropped. Answer `SessionClosed`; also for a session that was refused or never opened.
    CloseSession,
    /// The front end refuses something on its own account. Passed through the core so that the refusal
    /// keeps its place among the session's effects, and the session ends here as by any other refusal.
    Refuse(Box<Refusal>),
    /// The same for a publish: what is wrong with its exchange is told before what the front end has found.
    RefusePublish {
        /// The exchange that it names.
        exchange: ShortString,
        /// What the front end has found.
        refusal: Box<Refusal>,
    },
    /// Nothing but an answer in its place among the session's others. Answer `Echoed`.
    Echo,
    /// Declares an exchange. Answer `ExchangeDeclared`.
    DeclareExchange(DeclareExchange),
    /// Deletes an exchange; a missing one is fine. Answer `ExchangeDeleted`.
    DeleteExchange {
        /// Its name.
        name: ShortString,
        /// Refuse when something is bound to it as a source.
        if_unused: bool,
    },
    /// Binds an exchange to another. Answer `ExchangeBound`.
    BindExchange(Binding),
    /// Removes such a binding; a missing one is fine. Answer `ExchangeUnbound`.
    UnbindExchange(Binding),
    /// Declares a queue. Answer `QueueDeclared`.
    DeclareQueue(DeclareQueue),
    /// Binds a queue to an exchange. Answer `QueueBound`.
    BindQueue(Binding),
    /// Removes such a binding; a missing one is fine. Answer `QueueUnbound`.
    UnbindQueue(Binding),
    /// Drops all ready messages of a queue. Answer `QueuePurged`.
    PurgeQueue {
        /// The queue's name.
        name: ShortString,
    },
    /// Deletes a queue with its messages; a missing one is fine. Answer `QueueDeleted`.
    DeleteQueue {
        /// Its name.
        name: ShortString,
        /// Refuse when it has consumers.
        if_unused: bool,
        /// Refuse when it has ready messages.
        if_empty: bool,
    },
    /// Limits unacked deliveries. Answer `PrefetchSet`.
    SetPrefetch {
        /// How many, 0 for no limit.
        count: u16,
        /// True: one limit shared by the session's consumers, at once. False: each consumer that is
        /// started later on this session gets it as a limit of its own.
        shared: bool,
    },
    /// Starts a consumer. Answer `ConsumerStarted`, before its first delivery.
    Consume(Consume),
    /// Stops a consumer; an unknown tag is fine. Answer `ConsumerStopped`.
    Cancel {
        /// Its tag.
        tag: ShortString,
    },
    /// Publishes. No answer of its own: confirms if the session selected them, a return if `mandatory`.
    Publish(Publish),
    /// Takes one message. Answered by [`crate::Effect::Got`] or `GetEmpty`.
    Get {
        /// The queue's name.
        queue: ShortString,
        /// Settle it at once.
        no_ack: bool,
    },
    /// Settles deliveries. No answer.
    Settle {
        /// A delivery tag of this session; with `multiple` all up to it, 0 for all.
        delivery_tag: u64,
        /// All deliveries up to the tag.
        multiple: bool,
        /// What becomes of them.
        outcome: Outcome,
    },
    /// Returns all unacked deliveries of the session to their queues. Answer `Recovered`.
    Recover,
    /// From now on each publish is confirmed. Answer `ConfirmSelected`.
    SelectConfirm,
    /// From now on publishes and settlements wait for a commit. Answer `TransactionSelected`.
    SelectTransaction,
    /// Does what was collected, wholly or not at all. Answer `Committed`.
    Commit,
    /// Forgets what was collected: the deliveries stay unacked. Answer `RolledBack`.
    Rollback,
}

/// Declaration of an exchange.
#[derive(Clone, Debug)]
pub struct DeclareExchange {
    /// Its name. Empty is the default exchange, which nobody may declare.
    pub name: ShortString,
    /// Its type's name: `direct`, `fanout`, `topic` or `headers`. Ignored when passive.
    pub kind: ShortString,
    /// Only ask whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Goes when its last binding as a source goes.
    pub auto_delete: bool,
    /// Only other exchanges may feed it.
    pub internal: bool,
    /// Further arguments, kept as given.
    pub arguments: Table,
}

/// Declaration of a queue.
#[derive(Clone, Debug)]
pub struct DeclareQueue {
    /// Its name. The front end has already put a generated one in place of an empty one.
    pub name: ShortString,
    /// The name was generated by the front end, so that the reserved prefix is fine.
    pub generated: bool,
    /// Only ask whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Belongs to this connection and goes with it.
    pub exclusive: bool,
    /// Goes when its last consumer leaves.
    pub auto_delete: bool,
    /// Further arguments, kept as given.
    pub arguments: Table,
}

/// A binding, or what names one: identity is (source, destination, key, arguments).
#[derive(Clone, Debug)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: ShortString,
    /// The queue or exchange that they go to.
    pub destination: ShortString,
    /// The binding key.
    pub routing_key: ShortString,
    /// Arguments, for headers exchanges the match itself.
    pub arguments: Table,
}

/// A new consumer.
#[derive(Clone, Debug)]
pub struct Consume {
    /// The queue's name, or the reply pseudo-queue when `reply` is set.
    pub queue: ShortString,
    /// Its tag, unique in the session. The front end has already put a generated one in place of an empty one.
    pub tag: ShortString,
    /// Deliveries count as settled when they are sent.
    pub no_ack: bool,
    /// Refuse when the queue has consumers, and refuse others from now on.
    pub exclusive: bool,
    /// Further arguments.
    pub arguments: Table,
    /// For a consumer of direct replies: the unguessable address under which it is reached, chosen by the
    /// front end. `queue` is then ignored.
    pub reply_address: Option<ShortString>,
}

/// A publish with what the front end read out of its properties.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The message.
    pub envelope: Envelope,
    /// Give it back when no queue takes it.
    pub mandatory: bool,
    /// Survives a restart in durable queues.
    pub persistent: bool,
    /// Where the table of headers lies inside the properties, its four bytes of length included; none when
    /// there are no headers.
    pub headers: Option<std::ops::Range<u32>>,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done with.
    Acknowledged,
    /// Not wanted: dropped (or dead-lettered, where the queue says so).
    Discarded,
    /// Back to its place in the queue.
    Requeued,
}
