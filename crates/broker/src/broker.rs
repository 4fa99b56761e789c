//! The state machine itself.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;

use field_table::ShortString;

use crate::command::{Command, Operation};
use crate::consumer::Consumers;
use crate::counts::Counters;
use crate::effect::{Answer, Effect, Recipient};
use crate::ledger::Ledger;
use crate::operations::queue::Wording;
use crate::output::Output;
use crate::queue::Queues;
use crate::record::Target;
use crate::room::Room;
use crate::routing::Topology;
use crate::session::{Connections, session_mut};
use crate::table::Tables;
use crate::task::{RandomStream, Seed, TaskId, Tasks};
use crate::unacked::Delivery;
use crate::{ConnectionId, Lsn, QueueNumber, Refusal, RequestTag, SessionId, Timestamp};

/// One vhost: exchanges, bindings, queues with their messages, and the sessions of those who use them.
///
/// The caller owns the run loop and its law is short: call [`Self::handle`] with each thing that happens, in
/// order; append the records of the output to the journal; release each effect when the position that it names
/// is durable. [`Self::apply`] replays the records of a journal into a fresh broker. Both change the
/// state with the same code, so that what a restart finds is what the journal's readers were told.
#[derive(Debug)]
pub struct Broker {
    pub(crate) settings: Settings,
    /// Counts the boots of this log.
    pub(crate) boot: u64,
    pub(crate) topology: Topology,
    pub(crate) queues: Queues,
    pub(crate) queue_names: BTreeMap<ShortString, QueueNumber>,
    pub(crate) next_queue: u64,
    /// Which queues runs know, by number.
    pub(crate) queue_ledger: Ledger<QueueNumber>,
    /// Pages of deleted queues that a run still has.
    pub(crate) pages_gone: Vec<(QueueNumber, u64)>,
    pub(crate) consumers: Consumers,
    pub(crate) next_consumer: NonZeroU64,
    pub(crate) connections: Connections,
    /// Who waits for direct replies, by address.
    pub(crate) replies: BTreeMap<ShortString, SessionId>,
    pub(crate) tasks: Tasks,
    /// What stays on disk until somebody wants it.
    pub(crate) tables: Tables,
    pub(crate) counters: Counters,
    /// What the storage still takes.
    pub(crate) room: Room,
    /// Queues that may have something to deliver when the command is done.
    pub(crate) to_dispatch: VecDeque<QueueNumber>,
    /// Tasks whose watchers came when all was over.
    pub(crate) to_tell: Vec<TaskId>,
    /// Shared limits that the command may have opened.
    pub(crate) to_resume: VecDeque<Resume>,
    pub(crate) scratch: Scratch,
    /// Counts the seals of this boot.
    pub(crate) seals: u64,
}

/// A limit that several consumers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// The delivery window of a connection.
    Connection(ConnectionId),
    /// The unacked deliveries of a session.
    Session(SessionId),
}

/// Bounds of one vhost.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of messages that may be on their way to one connection and not yet sent. Default 2 MiB, at least 1.
    ///
    /// A connection whose client stops reading gets no more than this and one message; its queues go on
    /// serving others.
    pub delivery_window_bytes: u64,
    /// The secret behind what nobody may guess: lease ids and reply addresses, and the bits of task ids. New and random for
    /// each boot; the default, zeros, is for tests alone.
    pub seed: Seed,
}

/// What came of a command.
#[derive(Debug)]
pub enum Handled {
    /// It is done; records and effects are in the output.
    Done,
    /// It needs state that is not in memory, which [`Output::wants`] has asked for. Nothing has changed: here it is back, to be
    /// tried again when something was [`Broker::loaded`]. Its session's later commands have to wait behind it.
    Cold(Box<Command>),
}

/// Lists that are filled and emptied within one command, kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) routed: Vec<QueueNumber>,
    pub(crate) journaled: Vec<Target>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) ranges: Vec<(u64, u64)>,
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) now: Timestamp,
    pub(crate) session: SessionId,
    pub(crate) tag: RequestTag,
}

/// What an operation answers: a positive answer, or nothing of its own.
pub(crate) type Reply = Result<Option<Answer>, Refusal>;

impl Default for Settings {
    fn default() -> Self {
        Self { delivery_window_bytes: 2 * 1024 * 1024, seed: Seed::default() }
    }
}

impl Broker {
    /// An empty vhost: nothing but the predeclared exchanges.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            boot: 0,
            topology: Topology::new(),
            queues: Queues::default(),
            queue_names: BTreeMap::new(),
            next_queue: 1,
            queue_ledger: Ledger::default(),
            pages_gone: Vec::new(),
            consumers: Consumers::default(),
            next_consumer: NonZeroU64::MIN,
            connections: Connections::default(),
            replies: BTreeMap::new(),
            tasks: Tasks::new(RandomStream::new(settings.seed)),
            tables: Tables::default(),
            counters: Counters::default(),
            room: Room::UNBOUNDED,
            to_dispatch: VecDeque::new(),
            to_tell: Vec::new(),
            to_resume: VecDeque::new(),
            scratch: Scratch::default(),
            seals: 0,
        }
    }

    /// Takes one command. Its records and effects are appended to `out`.
    pub fn handle(&mut self, now: Timestamp, command: Command, out: &mut Output) -> Handled {
        match command {
            Command::Connect { connection, user } => self.connect(connection, user),
            Command::Disconnect { connection, lost } => self.disconnect(now, connection, lost, out),
            Command::Tick => self.tick(now, out),
            Command::Standalone { lane, request, operation } => {
                self.handle_standalone(Request { now, session: lane, tag: request }, *operation, out);
            }
            Command::Sent { connection, bytes } => self.sent(connection, bytes),
            Command::PublishAgain { session, publish } => self.publish_again(now, session, publish, out),
            Command::Session { operation: Operation::Get { ref queue, .. }, .. }
                if self.misses_next(queue, out) =>
            {
                return Handled::Cold(Box::new(command));
            }
            Command::Session { session, request, operation } => {
                self.handle_session(Request { now, session, tag: request }, operation, out);
            }
        }
        self.relay_replies(now, out);
        self.dispatch(now, out);
        // What was handed out may have been too late for somebody who waits.
        while !self.tasks.to_relay.is_empty() {
            self.relay_replies(now, out);
            self.dispatch(now, out);
        }
        Handled::Done
    }

    /// When the core next wants to be called for its own sake, with [`Command::Tick`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.tasks.next_alarm()
    }

    /// Packs the messages that nobody has, also those that will be wanted soon. For simulation and tests: it must change
    /// nothing but memory.
    pub fn pack(&mut self) {
        self.queues.values_mut().for_each(|queue| queue.strand.pack());
    }

    fn handle_session(&mut self, request: Request, operation: Operation, out: &mut Output) {
        match operation {
            Operation::OpenSession => return self.open_session(request, out),
            Operation::CloseSession => return self.close_session(request, out),
            _ => {}
        }
        // A command of a session that is unknown or was refused is late: its client will learn why.
        if session_mut(&mut self.connections, request.session).is_none_or(|session| session.refused) {
            return;
        }
        match self.operate(request, operation, out) {
            Ok(Some(answer)) => self.answer(request, answer, out),
            Ok(None) => {}
            Err(refusal) => self.refuse(request, refusal, out),
        }
    }

    fn operate(&mut self, request: Request, operation: Operation, out: &mut Output) -> Reply {
        match operation {
            Operation::Publish(publish) => self.publish(request, publish, out),
            Operation::Settle { delivery_tag, multiple, outcome } => {
                self.settle(request, delivery_tag, multiple, outcome, out)
            }
            Operation::Get { queue, no_ack } => self.get(request, &queue, no_ack, out),
            Operation::Consume(consume) => self.consume(request, consume),
            Operation::Cancel { tag } => self.cancel(request, tag, out),
            Operation::SetPrefetch { count, shared } => self.set_prefetch(request, count, shared),
            Operation::Recover => self.recover(request, out),
            Operation::DeclareExchange(declare) => self.declare_exchange(declare, out),
            Operation::DeleteExchange { name, if_unused } => self.delete_exchange(name, if_unused, out),
            Operation::BindExchange(binding) => self.bind_exchange(binding, out),
            Operation::UnbindExchange(binding) => self.unbind_exchange(binding, out),
            Operation::DeclareQueue(declare) => self.declare_queue(request, declare, Wording::InPart, out),
            Operation::BindQueue(binding) => self.bind_queue(request, binding, out),
            Operation::UnbindQueue(binding) => self.unbind_queue(request, binding, out),
            Operation::PurgeQueue { name } => self.purge_queue(request, name, out),
            Operation::DeleteQueue { name, if_unused, if_empty } => {
                self.delete_queue(request, name, if_unused, if_empty, out)
            }
            Operation::SelectConfirm => self.select_confirm(request),
            Operation::SelectTransaction => self.select_transaction(request),
            Operation::Commit => self.commit(request, out),
            Operation::Rollback => self.rollback(request),
            Operation::Refuse(refusal) => Err(*refusal),
            Operation::RefusePublish { exchange, refusal } => {
                self.check_exchange(&exchange)?;
                Err(*refusal)
            }
            Operation::Echo => Ok(Some(Answer::Echoed)),
            Operation::OpenSession | Operation::CloseSession => unreachable!("handled before"),
        }
    }

    /// Answers with what the state says, so after all of the state is durable. An empty `Get` and an echo rest on
    /// nothing.
    pub(crate) fn answer(&mut self, request: Request, answer: Answer, out: &mut Output) {
        let rests_on_nothing = matches!(answer, Answer::GetEmpty | Answer::Echoed);
        let after = if rests_on_nothing { Lsn::NONE } else { out.position() };
        let effect = Effect::Answered { request: request.tag, answer };
        out.effect(Recipient::Session(request.session), after, effect);
    }

    /// The queue of this name, if the connection may use it.
    pub(crate) fn usable_queue(&self, request: Request, name: &ShortString) -> Result<QueueNumber, Refusal> {
        let number = self.queue_names.get(name);
        let number = *number.ok_or_else(|| Refusal::NotFound(crate::Resource::Queue(name.clone())))?;
        if self.queues[&number].is_locked_for(request.session.connection) {
            return Err(Refusal::Locked { queue: name.clone() });
        }
        Ok(number)
    }
}
