//! An engine on a bench: its journal takes steps when the test says so, and its clients write down what they are told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use broker::{
    Answer, Command, ConnectionId, Consume, DeclareQueue, Effect, Envelope, Operation, Outcome, Publish,
    RequestTag, SessionId, Timestamp,
};
use engine::{Engine, OpenError, Outlet, Released, Settings};
use field_table::{ShortString, Table};
use journal::storage::MemoryStorage;
use journal::{LogName, MemoryJournal};

pub(crate) struct Bench {
    pub(crate) journal: MemoryJournal,
    pub(crate) storage: MemoryStorage,
    pub(crate) engine: Engine,
    pub(crate) now: Timestamp,
    /// Checkpoints wait for the test.
    pub(crate) holds_checkpoints: bool,
    /// State that is wanted in memory waits for the test.
    pub(crate) holds_loads: bool,
    settings: Settings,
    clients: BTreeMap<u64, Arc<Client>>,
    next_connection: u64,
}

/// What a connection was told.
#[derive(Default)]
pub(crate) struct Client {
    told: Mutex<Vec<Released>>,
    /// How often it was only told that its credit came back.
    pub(crate) woken: Mutex<u32>,
}

impl Outlet for Client {
    fn push(&self, effects: &mut Vec<Released>) {
        if effects.is_empty() {
            *self.woken.lock().unwrap() += 1;
        }
        self.told.lock().unwrap().append(effects);
    }
}

pub(crate) fn log() -> LogName {
    LogName::new("vhost").unwrap()
}

pub(crate) fn name(text: &str) -> ShortString {
    ShortString::try_from(text.as_bytes()).expect("names in tests are short")
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let (journal, storage) = (MemoryJournal::manual(), MemoryStorage::new());
        let now = Timestamp(1000);
        let engine = open(&settings, &journal, &storage, now).unwrap();
        let clients = BTreeMap::new();
        Self {
            journal,
            storage,
            engine,
            now,
            holds_checkpoints: false,
            holds_loads: false,
            settings,
            clients,
            next_connection: 1,
        }
    }

    /// The process is gone at once: of the entries in flight the first `survivors` are found again.
    pub(crate) fn crash(&mut self, survivors: usize) {
        self.journal.crash(survivors);
        self.reopen().unwrap();
    }

    /// Ends in peace, and starts again.
    pub(crate) fn restart(&mut self) {
        self.close();
        self.reopen().unwrap();
    }

    pub(crate) fn close(&mut self) {
        self.engine.drain(self.now);
        self.settle();
        assert!(self.engine.is_drained());
        self.engine.close(self.now).unwrap();
    }

    pub(crate) fn reopen(&mut self) -> Result<(), OpenError> {
        self.clients.clear();
        self.engine = open(&self.settings, &self.journal, &self.storage, self.now)?;
        Ok(())
    }

    /// A new connection with a session, once that is durable.
    pub(crate) fn connect(&mut self) -> u64 {
        let connection = self.connect_at_once();
        self.settle();
        self.hear(connection);
        connection
    }

    /// A new connection that has asked for a session.
    pub(crate) fn connect_at_once(&mut self) -> u64 {
        let connection = self.next_connection;
        self.next_connection += 1;
        let client = Arc::new(Client::default());
        self.clients.insert(connection, Arc::clone(&client));
        self.engine.connect(self.now, ConnectionId(connection), ShortString::default(), client);
        self.ask(connection, [Operation::OpenSession]);
        connection
    }

    pub(crate) fn client(&self, connection: u64) -> &Client {
        &self.clients[&connection]
    }

    /// Sends operations as one batch.
    pub(crate) fn ask(&mut self, connection: u64, operations: impl IntoIterator<Item = Operation>) {
        let session = SessionId { connection: ConnectionId(connection), channel: 1 };
        let command = |operation| Command::Session { session, request: RequestTag(1), operation };
        self.send(operations.into_iter().map(command).collect());
    }

    pub(crate) fn send(&mut self, mut commands: Vec<Command>) {
        self.engine.submit(self.now, &mut commands);
        assert!(commands.is_empty());
    }

    /// Makes one entry durable.
    pub(crate) fn step(&mut self) -> bool {
        let stepped = self.journal.step();
        self.engine.pump(self.now);
        stepped
    }

    /// Lets time pass and the journal work until nothing is left to do. Checkpoints are written.
    pub(crate) fn settle(&mut self) {
        loop {
            let stepped = self.journal.step() | self.journal.step_read(0);
            self.engine.pump(self.now);
            if !self.holds_checkpoints {
                self.checkpoint();
            }
            let loaded = !self.holds_loads && self.load();
            let due = self.engine.next_deadline();
            if let Some(due) = due {
                self.now = self.now.max(due);
                self.engine.tick(self.now);
            }
            if !stepped && !loaded && due.is_none() && self.journal.pending_reads() == 0 {
                return;
            }
        }
    }

    pub(crate) fn checkpoint(&mut self) {
        if let Some(job) = self.engine.take_checkpoint_job() {
            self.engine.checkpoint_done(job.run());
        }
    }

    /// Reads the state that is wanted in memory. False if there is none.
    pub(crate) fn load(&mut self) -> bool {
        let job = self.engine.take_load_job();
        let is_there = job.is_some();
        job.into_iter().for_each(|job| self.engine.load_done(self.now, job.run()));
        is_there
    }

    /// What the connection was told since it was last asked.
    pub(crate) fn hear(&self, connection: u64) -> Vec<String> {
        let told = std::mem::take(&mut *self.client(connection).told.lock().unwrap());
        told.iter().map(|released| describe(&released.effect)).collect()
    }

    /// What the connection's sessions were refused since it was last asked; all else that it was told is forgotten.
    pub(crate) fn refusals(&self, connection: u64) -> Vec<broker::Refusal> {
        let told = std::mem::take(&mut *self.client(connection).told.lock().unwrap());
        let refusal = |released: Released| match released.effect {
            Effect::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        };
        told.into_iter().filter_map(refusal).collect()
    }

    /// The entry that holds the first message of the first queue.
    pub(crate) fn first_entry(&self) -> journal::Lsn {
        let view = self.engine.view_at_last_entry().expect("nothing is under way");
        let first = view.queues[0].messages.first().expect("it has some");
        match first.place.home() {
            broker::Home::Entry(lsn) => journal::Lsn(lsn.0),
            broker::Home::Volatile(_) => panic!("it is not in the journal"),
        }
    }

    /// Takes all messages of a queue, in order: "body" or "body again".
    pub(crate) fn drain_queue(&mut self, queue: &str) -> Vec<String> {
        let connection = self.connect();
        let mut found = Vec::new();
        loop {
            self.ask(connection, [get(queue)]);
            self.settle();
            let heard = self.hear(connection).pop().expect("every get is answered");
            let Some(message) = heard.strip_prefix("got ") else { break };
            found.push(message.to_owned());
        }
        self.send(vec![Command::Disconnect { connection: ConnectionId(connection), lost: true }]);
        self.settle();
        found
    }
}

fn open(
    settings: &Settings,
    journal: &MemoryJournal,
    storage: &MemoryStorage,
    now: Timestamp,
) -> Result<Engine, OpenError> {
    Engine::open(settings.clone(), journal, &log(), Arc::new(storage.clone()), now)
}

pub(crate) fn short(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.split('.').next().unwrap_or_default().to_owned()
}

pub(crate) fn describe(effect: &Effect<Envelope>) -> String {
    let again = |redelivered: &bool| if *redelivered { " again" } else { "" };
    match effect {
        Effect::Deliver { delivery_tag, redelivered, message, .. } => {
            format!("#{delivery_tag} {}{}", short(message.body()), again(redelivered))
        }
        Effect::Got { redelivered, message, .. } => {
            format!("got {}{}", short(message.body()), again(redelivered))
        }
        Effect::Confirmed { up_to } => format!("confirmed {up_to}"),
        Effect::Answered { answer: Answer::QueueDeclared { messages, .. }, .. } => {
            format!("declared {messages}")
        }
        Effect::Answered { answer, .. } => format!("{answer:?}"),
        Effect::Rejected { sequence } => format!("rejected {sequence}"),
        Effect::Blocked => "blocked".to_owned(),
        Effect::Unblocked => "unblocked".to_owned(),
        Effect::Disconnected => "disconnected".to_owned(),
        other => panic!("unexpected: {other:?}"),
    }
}

pub(crate) fn declare(queue: &str, durable: bool) -> Operation {
    Operation::DeclareQueue(DeclareQueue {
        name: name(queue),
        generated: false,
        passive: false,
        durable,
        exclusive: false,
        auto_delete: false,
        arguments: Table::default(),
    })
}

pub(crate) fn publish(queue: &str, body: impl AsRef<[u8]>) -> Operation {
    let envelope = Envelope::new(b"", queue.as_bytes(), b"", body.as_ref());
    Operation::Publish(Publish { envelope, mandatory: false, persistent: true, headers: None })
}

pub(crate) fn transient(queue: &str, body: impl AsRef<[u8]>) -> Operation {
    let Operation::Publish(mut message) = publish(queue, body) else { unreachable!() };
    message.persistent = false;
    Operation::Publish(message)
}

/// A body that is told apart by its number, and made large by dots.
pub(crate) fn body(number: usize, bytes: usize) -> Vec<u8> {
    let mut body = format!("m{number}.").into_bytes();
    body.resize(bytes.max(body.len()), b'.');
    body
}

pub(crate) fn consume(queue: &str, no_ack: bool) -> Operation {
    Operation::Consume(Consume {
        queue: name(queue),
        tag: name("t"),
        no_ack,
        exclusive: false,
        arguments: Table::default(),
        reply_address: None,
    })
}

pub(crate) fn get(queue: &str) -> Operation {
    Operation::Get { queue: name(queue), no_ack: false }
}

pub(crate) fn ack(delivery_tag: u64, multiple: bool) -> Operation {
    Operation::Settle { delivery_tag, multiple, outcome: Outcome::Acknowledged }
}
