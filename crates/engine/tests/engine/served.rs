//! An engine on the file journal, with a client that waits for each answer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use broker::{
    Command, ConnectionId, Effect, Envelope, Operation, RequestTag, SessionId, Standalone, Timestamp,
};
use engine::{Engine, Health, OpenError, Outlet, Released, Settings};
use field_table::ShortString;
use journal::storage::Storage;
use journal::{FileJournal, FileOptions, LogName};

use crate::bench::get;

/// The connection of the session, and that of the requests without one.
const SESSION: u64 = 1;
const LANE: u64 = 2;

pub(crate) struct Served {
    pub(crate) engine: Engine,
    client: Arc<Client>,
    pub(crate) now: Timestamp,
    _journal: FileJournal,
}

/// What the client was told.
#[derive(Default)]
struct Client(Mutex<Vec<Released>>);

impl Outlet for Client {
    fn push(&self, effects: &mut Vec<Released>) {
        self.0.lock().unwrap().append(effects);
    }
}

impl Served {
    pub(crate) fn open(
        journal: Arc<dyn Storage>,
        data: Arc<dyn Storage>,
        log: &LogName,
        options: FileOptions,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        Self::open_with(Settings::default(), journal, data, log, options, now)
    }

    pub(crate) fn open_with(
        settings: Settings,
        journal: Arc<dyn Storage>,
        data: Arc<dyn Storage>,
        log: &LogName,
        options: FileOptions,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let journal = FileJournal::new(journal, options);
        let engine = Engine::open(settings, &journal, log, data, now)?;
        let mut served = Self { engine, client: Arc::default(), now, _journal: journal };
        for connection in [SESSION, LANE] {
            let client = Arc::clone(&served.client);
            served.engine.connect(now, ConnectionId(connection), ShortString::default(), client);
        }
        served.ask(Operation::OpenSession);
        served.ask(Operation::SelectConfirm);
        Ok(served)
    }

    /// Asks, and waits for the answer; checkpoints are written as they come.
    pub(crate) fn ask(&mut self, operation: Operation) -> Effect<Envelope> {
        self.tell(operation);
        self.answer()
    }

    /// Asks for what has no answer.
    pub(crate) fn tell(&mut self, operation: Operation) {
        let session = SessionId { connection: ConnectionId(SESSION), channel: 1 };
        self.send(Command::Session { session, request: RequestTag(1), operation });
    }

    /// Asks without a session, and waits for the answer.
    pub(crate) fn request(&mut self, operation: Standalone) -> Effect<Envelope> {
        let lane = SessionId { connection: ConnectionId(LANE), channel: 1 };
        self.send(Command::Standalone { lane, request: RequestTag(1), operation: Box::new(operation) });
        self.answer()
    }

    /// Takes all messages of a queue, in order, without acknowledging them.
    pub(crate) fn take_all(&mut self, queue: &str) -> Vec<Envelope> {
        let mut found = Vec::new();
        while let Effect::Got { message, .. } = self.ask(get(queue)) {
            found.push(message);
        }
        found
    }

    fn send(&mut self, command: Command) {
        self.engine.submit(self.now, &mut vec![command]);
        if let Some(helper) = self.engine.take_helper() {
            helper.help();
        }
    }

    /// Waits for something to be told; the first of what was.
    fn answer(&mut self) -> Effect<Envelope> {
        let start = Instant::now();
        loop {
            self.turn();
            let told = std::mem::take(&mut *self.client.0.lock().unwrap());
            if let Some(first) = told.into_iter().next() {
                return first.effect;
            }
            assert_eq!(self.engine.health(), Health::Serving);
            assert!(start.elapsed() < Duration::from_secs(20), "no answer: {:?}", self.engine);
            std::thread::yield_now();
        }
    }

    /// Ends in peace.
    pub(crate) fn close(mut self) {
        self.engine.drain(self.now);
        let start = Instant::now();
        while !self.engine.is_drained() {
            self.turn();
            assert!(start.elapsed() < Duration::from_secs(20), "not drained: {:?}", self.engine);
        }
        self.engine.close(self.now).unwrap();
    }

    fn turn(&mut self) {
        self.now.0 += 1;
        self.engine.pump(self.now);
        self.engine.tick(self.now);
        if let Some(job) = self.engine.take_checkpoint_job() {
            self.engine.checkpoint_done(job.run());
        }
        if let Some(job) = self.engine.take_load_job() {
            self.engine.load_done(self.now, job.run());
        }
    }
}
