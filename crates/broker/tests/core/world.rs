//! A broker and its clients, as a conversation: what they ask and what they hear.
//!
//! Every operation is an entry of its own in a journal that is kept in memory, and whenever a client says what it has heard,
//! the whole journal is replayed into a fresh broker, which must hold the same durable state.

use std::collections::{BTreeMap, VecDeque};

use broker::{
    Addressed, Answer, Binding, Broker, Command, ConnectionId, Consume, DeclareExchange, DeclareQueue,
    Described, DurableView, Effect, Envelope, Home, Lsn, Operation, Outcome, Output, Publish, Recipient,
    Record, Refusal, RequestTag, Seed, SessionId, Settings, Standalone, StoredMessage, TaskView, Timestamp,
};
use bytes::{Bytes, BytesMut};
use field_table::{ShortString, Table};

use crate::rows::{Checkpoint, Rows};

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) out: Output,
    pub(crate) entries: Vec<(Lsn, Bytes)>,
    /// What its seals have given out, also in the boots before.
    pub(crate) rows: Rows,
    /// Blocks of transient envelopes with the count of messages that need them.
    pub(crate) blocks: BTreeMap<u64, (BytesMut, u32)>,
    heard: BTreeMap<Recipient, VecDeque<String>>,
    /// Every effect since it was last taken.
    pub(crate) effects: Vec<Addressed>,
    open: Vec<SessionId>,
    settings: Settings,
    now: Timestamp,
}

/// One client's session: operations are sent at once and can be chained.
pub(crate) struct Session<'w> {
    pub(crate) world: &'w mut World,
    id: SessionId,
}

pub(crate) fn name(text: &str) -> ShortString {
    ShortString::try_from(text.as_bytes()).expect("names in tests are short")
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            broker: Broker::new(settings),
            out: Output::new(Lsn(1)),
            entries: Vec::new(),
            rows: Rows::default(),
            blocks: BTreeMap::new(),
            heard: BTreeMap::new(),
            effects: Vec::new(),
            open: Vec::new(),
            settings,
            now: Timestamp(1000),
        }
    }

    /// A world after a crash: what is in the journal is all that is left of the one before. Its clock begins anew.
    pub(crate) fn from_journal(entries: Vec<(Lsn, Bytes)>) -> Self {
        let mut before = Self::new();
        before.entries = entries;
        Self::restarted(before, None, false)
    }

    /// The same, but with a checkpoint in place of the journal in front of it.
    pub(crate) fn from_checkpoint(mut before: Self) -> Self {
        let checkpoint = before.checkpoint();
        Self::restarted(before, Some(&checkpoint), false)
    }

    /// Seals what has changed, and says what there is then.
    pub(crate) fn checkpoint(&mut self) -> Checkpoint {
        self.rows.lay_over(&self.broker.seal());
        Checkpoint { rows: self.rows.clone(), entries: self.entries.len() }
    }

    /// A world after a crash, or a clean end: a checkpoint, if there is one, and the journal behind it are all that is left of
    /// the one before.
    pub(crate) fn restarted(before: Self, checkpoint: Option<&Checkpoint>, clean: bool) -> Self {
        // A seed is new for each boot.
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&before.entries.len().to_be_bytes());
        let mut world = Self::with(Settings { seed: Seed(seed), ..before.settings });
        let mut covered = 0;
        if let Some(checkpoint) = checkpoint {
            world.broker = checkpoint.rows.restored(world.settings);
            world.rows = checkpoint.rows.clone();
            covered = checkpoint.entries;
        }
        replay(&mut world.broker, &before.entries[covered..]);
        world.out = Output::new(Lsn(before.entries.len() as u64 + 1));
        (world.entries, world.now) = (before.entries, before.now);
        let started = Record::Started { boot: world.broker.boot() + 1, time: world.now, clean };
        started.write(&mut world.out.entry.bytes);
        world.broker.apply(started);
        world.close_entry();
        world
    }

    /// Channel 1 of a connection, connected and opened when it is first used.
    pub(crate) fn on(&mut self, connection: u64) -> Session<'_> {
        self.at(connection, 1)
    }

    pub(crate) fn at(&mut self, connection: u64, channel: u16) -> Session<'_> {
        let id = SessionId { connection: ConnectionId(connection), channel };
        if !self.open.contains(&id) {
            if !self.open.iter().any(|other| other.connection == id.connection) {
                self.send(Command::Connect { connection: id.connection, user: name("guest") });
            }
            self.open.push(id);
            self.session_send(id, Operation::OpenSession);
            let opened = self.heard.entry(Recipient::Session(id)).or_default().pop_back();
            assert_eq!(opened.as_deref(), Some("SessionOpened"));
        }
        Session { world: self, id }
    }

    pub(crate) fn disconnect(&mut self, connection: u64) {
        self.send(Command::Disconnect { connection: ConnectionId(connection), lost: true });
        self.open.retain(|id| id.connection.0 != connection);
        let heard = self.heard.remove(&Recipient::Connection(ConnectionId(connection))).unwrap_or_default();
        assert_eq!(heard.back().map(String::as_str), Some("disconnected"));
    }

    /// Time passes, and the core is called at each of its deadlines.
    pub(crate) fn wait(&mut self, ms: u64) {
        let until = Timestamp(self.now.0 + ms);
        while let Some(deadline) = self.broker.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.send(Command::Tick);
        }
        self.now = until;
    }

    /// What the connection as a whole has heard.
    pub(crate) fn connection_hears(&mut self, connection: u64) -> Vec<String> {
        self.heard.remove(&Recipient::Connection(ConnectionId(connection))).unwrap_or_default().into()
    }

    /// Time passes, and nobody calls the core.
    pub(crate) fn oversleep(&mut self, ms: u64) {
        self.now.0 += ms;
    }

    /// A request of its own, on a lane of connection 100, and all that it hears so far.
    pub(crate) fn ask(&mut self, request: u64, operation: Standalone) -> Vec<String> {
        self.request(request, operation);
        self.hear(request)
    }

    /// The same, without listening.
    pub(crate) fn request(&mut self, request: u64, operation: Standalone) {
        let lane = SessionId { connection: ConnectionId(100), channel: request as u16 };
        if !self.open.iter().any(|other| other.connection == lane.connection) {
            self.send(Command::Connect { connection: lane.connection, user: name("guest") });
            self.open.push(lane);
        }
        self.send(Command::Standalone { lane, request: RequestTag(request), operation: Box::new(operation) });
    }

    /// What a request has heard since.
    pub(crate) fn hear(&mut self, request: u64) -> Vec<String> {
        let lane = SessionId { connection: ConnectionId(100), channel: request as u16 };
        self.check_replay();
        self.heard.remove(&Recipient::Session(lane)).unwrap_or_default().into()
    }

    pub(crate) fn sent(&mut self, connection: u64, bytes: u64) {
        self.send(Command::Sent { connection: ConnectionId(connection), bytes });
    }

    pub(crate) fn session_send(&mut self, session: SessionId, operation: Operation) {
        self.send(Command::Session { session, request: RequestTag(7), operation });
    }

    /// Hands a command in, closes the entry, and notes what everyone hears.
    pub(crate) fn send(&mut self, command: Command) {
        if !matches!(command, Command::Tick) {
            self.now.0 += 1;
        }
        self.broker.handle(self.now, command, &mut self.out);
        // Whether messages are packed must make no difference.
        if self.entries.len() % 64 == 5 {
            self.broker.pack();
        }
        self.close_entry();
        self.take_volatile();
        let effects = std::mem::take(&mut self.out.effects);
        for addressed in &effects {
            let text = self.describe(addressed);
            self.heard.entry(addressed.to).or_default().push_back(text);
        }
        self.effects.extend(effects);
        for place in std::mem::take(&mut self.out.volatile.released) {
            let Home::Volatile(block) = place.home() else {
                panic!("released {place:?}, which is journaled")
            };
            let users = &mut self.blocks.get_mut(&block).expect("released a block that nobody needed").1;
            *users = users.checked_sub(1).expect("released more often than retained");
        }
    }

    /// The state that a restart would find.
    pub(crate) fn replayed(&self) -> Broker {
        let mut broker = Broker::new(self.settings);
        replay(&mut broker, &self.entries);
        broker
    }

    pub(crate) fn check_replay(&self) -> DurableView {
        let live = self.broker.durable_view();
        let mut replayed = self.replayed();
        assert_eq!(replayed.durable_view(), live, "replay found another state than the live one");
        let restored = Rows::all_of(&mut replayed).restored(self.settings);
        assert_eq!(restored.durable_view(), live, "a checkpoint keeps another state than the live one");
        live
    }

    /// Messages that are transient and alive, by what the core told of the blocks.
    pub(crate) fn transient_messages(&self) -> u32 {
        self.blocks.values().map(|(_, users)| users).sum()
    }

    pub(crate) fn envelope(&self, message: StoredMessage) -> Envelope {
        let length = message.stored_bytes as usize;
        let start = message.place.offset as usize;
        let bytes = match message.place.home() {
            Home::Entry(lsn) => self.entries[lsn.0 as usize - 1].1.slice(start..start + length),
            Home::Volatile(block) => Bytes::copy_from_slice(&self.blocks[&block].0[start..start + length]),
        };
        Envelope::from_stored(bytes).expect("the place of a message holds its envelope")
    }

    fn close_entry(&mut self) {
        if self.out.entry.bytes.is_empty() {
            return;
        }
        let lsn = self.out.entry.lsn;
        self.entries.push((lsn, self.out.entry.bytes.split().freeze()));
        self.out.entry.lsn = lsn.next();
    }

    fn take_volatile(&mut self) {
        let volatile = &mut self.out.volatile;
        for (block, users) in volatile.retained.drain(..) {
            self.blocks.entry(block).or_default().1 += users;
        }
        let written =
            volatile.filled.drain(..).collect::<Vec<_>>().into_iter().chain(volatile.take_written());
        for (block, offset, bytes) in written {
            let held = &mut self.blocks.entry(block).or_default().0;
            assert_eq!(held.len(), offset as usize);
            held.extend_from_slice(&bytes);
        }
    }

    fn describe(&self, addressed: &Addressed) -> String {
        let body = |envelope: &Envelope| String::from_utf8_lossy(envelope.body()).into_owned();
        let again = |redelivered: &bool| if *redelivered { " again" } else { "" };
        if let Some(message) = addressed.effect.message() {
            assert!(addressed.after >= message.place.durable_at(), "a delivery waits for its own publish");
        }
        match &addressed.effect {
            Effect::Answered { answer, .. } => describe_answer(answer),
            Effect::Refused { refusal, .. } => format!("refused: {}", describe_refusal(refusal)),
            Effect::Deliver { consumer_tag, delivery_tag, redelivered, message, .. } => {
                let body = body(&self.envelope(*message));
                format!("{consumer_tag}#{delivery_tag} {body}{}", again(redelivered))
            }
            Effect::Got { delivery_tag, redelivered, remaining, message, .. } => {
                let body = body(&self.envelope(*message));
                format!("got#{delivery_tag} {body}{}, {remaining} left", again(redelivered))
            }
            Effect::Replied { consumer_tag, delivery_tag, envelope } => {
                format!("reply {consumer_tag}#{delivery_tag} {}", body(envelope))
            }
            Effect::Confirmed { up_to } => format!("confirmed {up_to}"),
            Effect::Rejected { sequence } => format!("rejected {sequence}"),
            Effect::Returned { envelope } => format!("returned {}", body(envelope)),
            Effect::ConsumerCancelled { consumer_tag } => format!("cancelled {consumer_tag}"),
            Effect::Blocked => "blocked".to_owned(),
            Effect::Unblocked => "unblocked".to_owned(),
            Effect::Disconnected => "disconnected".to_owned(),
            Effect::RepliedAgain { consumer_tag, delivery_tag, message, .. } => {
                format!("reply {consumer_tag}#{delivery_tag} {} again", body(&self.envelope(*message)))
            }
            Effect::Task { view, result, .. } => {
                let result = result.map(|message| format!(" {}", body(&self.envelope(message))));
                format!("{}{}", describe_task(view), result.unwrap_or_default())
            }
            Effect::Leased { grant, message, .. } => {
                format!("leased {} crashes {}", body(&self.envelope(*message)), grant.task.crashes)
            }
        }
    }
}

/// State, status, attempts and crashes.
pub(crate) fn describe_task(view: &TaskView) -> String {
    let status = view.status.map(|status| format!(" {status}")).unwrap_or_default();
    format!("{}{status} {}/{}", view.state.name(), view.attempts, view.crashes)
}

pub(crate) fn replay(broker: &mut Broker, entries: &[(Lsn, Bytes)]) {
    for (lsn, bytes) in entries {
        for record in Record::read_entry(*lsn, bytes.clone()) {
            broker.apply(record.expect("the core reads what it wrote"));
        }
    }
}

fn describe_answer(answer: &Answer) -> String {
    match answer {
        Answer::QueueDeclared { messages, consumers, .. } => format!("declared {messages}/{consumers}"),
        Answer::QueuePurged { messages } => format!("purged {messages}"),
        Answer::QueueDeleted { messages } => format!("deleted {messages}"),
        Answer::ConsumerStarted { tag } => format!("started {tag}"),
        Answer::ConsumerStopped { tag } => format!("stopped {tag}"),
        Answer::Enqueued { tasks, replayed } => {
            let tasks: Vec<String> = tasks.iter().map(describe_task).collect();
            format!("enqueued {}{}", tasks.join(", "), if *replayed { " again" } else { "" })
        }
        Answer::Settled(settlement) => format!("settled {}", settlement.state.name()),
        Answer::Cancelled(view) => format!("cancelled {}", describe_task(view)),
        Answer::LeasesGranted { count } => format!("granted {count}"),
        Answer::LeaseExtended { cancelled, .. } => format!("extended, cancelled {cancelled}"),
        other => format!("{other:?}"),
    }
}

fn describe_refusal(refusal: &Refusal) -> String {
    let described = |value: &Option<Described>| match value {
        None => "none".to_owned(),
        Some(Described { value, type_name: None }) => value.clone(),
        Some(Described { value, type_name: Some(kind) }) => format!("{value} ({kind})"),
    };
    match refusal {
        Refusal::NotFound(resource) => format!("no {resource}"),
        Refusal::Locked { queue } => format!("locked {queue}"),
        Refusal::InExclusiveUse { queue } => format!("exclusive use of {queue}"),
        Refusal::InUse(resource) => format!("{resource} in use"),
        Refusal::NotEmpty { queue } => format!("{queue} not empty"),
        Refusal::ReservedName(resource) => format!("reserved {resource}"),
        Refusal::UnknownDeliveryTag { delivery_tag } => format!("unknown tag {delivery_tag}"),
        Refusal::Inequivalent { resource, argument, received, current } => {
            format!("{resource}: {argument} is {}, not {}", described(current), described(received))
        }
        Refusal::QueueFull { backlog, limit, .. } => format!("full {backlog}/{limit}"),
        Refusal::NoRoom { needed_bytes, room_bytes, .. } => {
            assert!(needed_bytes > room_bytes, "{needed_bytes} fit into {room_bytes}");
            format!("no room in {room_bytes}")
        }
        Refusal::LeaseLost { now, .. } => {
            format!("lease lost {}", now.map_or("for good", |(state, _)| state.name()))
        }
        Refusal::LeaseSettled { state, .. } => format!("lease settled {}", state.name()),
        Refusal::TaskEnded { state, .. } => format!("ended {}", state.name()),
        other => format!("{other:?}"),
    }
}

impl Session<'_> {
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn operate(self, operation: Operation) -> Self {
        self.world.session_send(self.id, operation);
        self
    }

    /// Asserts that this is all the session was told since it was last asked.
    #[track_caller]
    pub(crate) fn hears<Line: AsRef<str>>(mut self, expected: &[Line]) -> Self {
        let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
        assert_eq!(self.take_heard(), expected);
        self.world.check_replay();
        self
    }

    /// Forgets what the session was told.
    pub(crate) fn deaf(mut self) -> Self {
        self.take_heard();
        self
    }

    pub(crate) fn take_heard(&mut self) -> Vec<String> {
        self.world.heard.remove(&Recipient::Session(self.id)).unwrap_or_default().into()
    }

    pub(crate) fn reopen(self) -> Self {
        self.operate(Operation::CloseSession).operate(Operation::OpenSession)
    }

    pub(crate) fn close(self) -> Self {
        self.operate(Operation::CloseSession)
    }

    pub(crate) fn declare_exchange(self, exchange: &str, change: impl FnOnce(&mut DeclareExchange)) -> Self {
        let mut declare = DeclareExchange {
            name: name(exchange),
            kind: name("direct"),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Table::default(),
        };
        change(&mut declare);
        self.operate(Operation::DeclareExchange(declare))
    }

    pub(crate) fn exchange(self, exchange: &str, kind: &str) -> Self {
        self.declare_exchange(exchange, |declare| declare.kind = name(kind))
    }

    pub(crate) fn delete_exchange(self, exchange: &str, if_unused: bool) -> Self {
        self.operate(Operation::DeleteExchange { name: name(exchange), if_unused })
    }

    pub(crate) fn declare_queue(self, queue: &str, change: impl FnOnce(&mut DeclareQueue)) -> Self {
        let mut declare = DeclareQueue {
            name: name(queue),
            generated: false,
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Table::default(),
        };
        change(&mut declare);
        self.operate(Operation::DeclareQueue(declare))
    }

    pub(crate) fn declare(self, queue: &str) -> Self {
        self.declare_queue(queue, |_| ())
    }

    pub(crate) fn delete(self, queue: &str) -> Self {
        self.operate(Operation::DeleteQueue { name: name(queue), if_unused: false, if_empty: false })
    }

    pub(crate) fn purge(self, queue: &str) -> Self {
        self.operate(Operation::PurgeQueue { name: name(queue) })
    }

    pub(crate) fn bind(self, source: &str, key: &str, queue: &str) -> Self {
        self.operate(Operation::BindQueue(binding(source, key, queue, Table::default())))
    }

    pub(crate) fn unbind(self, source: &str, key: &str, queue: &str) -> Self {
        self.operate(Operation::UnbindQueue(binding(source, key, queue, Table::default())))
    }

    pub(crate) fn bind_exchange(self, source: &str, key: &str, exchange: &str) -> Self {
        self.operate(Operation::BindExchange(binding(source, key, exchange, Table::default())))
    }

    /// Publishes a persistent message to a queue by its name.
    pub(crate) fn publish(self, queue: &str, body: &str) -> Self {
        self.publish_to("", queue, body)
    }

    pub(crate) fn publish_to(self, exchange: &str, key: &str, body: &str) -> Self {
        self.publish_with(exchange, key, body, |_| ())
    }

    pub(crate) fn transient(self, queue: &str, body: &str) -> Self {
        self.publish_with("", queue, body, |publish| publish.persistent = false)
    }

    pub(crate) fn publish_with(
        self,
        exchange: &str,
        key: &str,
        body: &str,
        change: impl FnOnce(&mut Publish),
    ) -> Self {
        let envelope = Envelope::new(exchange.as_bytes(), key.as_bytes(), b"", body.as_bytes());
        let mut publish = Publish { envelope, mandatory: false, persistent: true, headers: None };
        change(&mut publish);
        self.operate(Operation::Publish(publish))
    }

    pub(crate) fn consume_with(self, queue: &str, tag: &str, change: impl FnOnce(&mut Consume)) -> Self {
        let mut consume = Consume {
            queue: name(queue),
            tag: name(tag),
            no_ack: false,
            exclusive: false,
            arguments: Table::default(),
            reply_address: None,
        };
        change(&mut consume);
        self.operate(Operation::Consume(consume))
    }

    pub(crate) fn consume(self, queue: &str, tag: &str) -> Self {
        self.consume_with(queue, tag, |_| ())
    }

    pub(crate) fn consume_no_ack(self, queue: &str, tag: &str) -> Self {
        self.consume_with(queue, tag, |consume| consume.no_ack = true)
    }

    pub(crate) fn cancel(self, tag: &str) -> Self {
        self.operate(Operation::Cancel { tag: name(tag) })
    }

    pub(crate) fn prefetch(self, count: u16) -> Self {
        self.operate(Operation::SetPrefetch { count, shared: false })
    }

    pub(crate) fn shared_prefetch(self, count: u16) -> Self {
        self.operate(Operation::SetPrefetch { count, shared: true })
    }

    pub(crate) fn get(self, queue: &str) -> Self {
        self.operate(Operation::Get { queue: name(queue), no_ack: false })
    }

    pub(crate) fn settle(self, delivery_tag: u64, multiple: bool, outcome: Outcome) -> Self {
        self.operate(Operation::Settle { delivery_tag, multiple, outcome })
    }

    pub(crate) fn ack(self, delivery_tag: u64) -> Self {
        self.settle(delivery_tag, false, Outcome::Acknowledged)
    }

    pub(crate) fn ack_up_to(self, delivery_tag: u64) -> Self {
        self.settle(delivery_tag, true, Outcome::Acknowledged)
    }

    pub(crate) fn requeue(self, delivery_tag: u64) -> Self {
        self.settle(delivery_tag, false, Outcome::Requeued)
    }

    pub(crate) fn confirm(self) -> Self {
        self.operate(Operation::SelectConfirm)
    }

    pub(crate) fn transaction(self) -> Self {
        self.operate(Operation::SelectTransaction)
    }

    pub(crate) fn commit(self) -> Self {
        self.operate(Operation::Commit)
    }

    pub(crate) fn rollback(self) -> Self {
        self.operate(Operation::Rollback)
    }
}

pub(crate) fn binding(source: &str, key: &str, destination: &str, arguments: Table) -> Binding {
    Binding { source: name(source), destination: name(destination), routing_key: name(key), arguments }
}
