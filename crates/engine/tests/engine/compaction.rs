//! Messages that are never settled keep their bodies, and little else.

use std::io::IoSlice;
use std::sync::{Arc, Mutex};

use broker::{
    BodyOwner, Command, ConnectionId, Effect, Operation, RequestTag, SessionId, Standing, Timestamp,
};
use engine::doctor::{DataFiles, Meaning, examine, make_aside, repair};
use engine::{Engine, Health, Outlet, Released, Settings};
use field_table::ShortString;
use journal::storage::{MemoryStorage, Storage};
use journal::{FileJournal, FileOptions, Step};

use crate::bench::{ack, body, consume, declare, describe, log, publish};

/// An engine over files, with segments of 32 KB.
struct Store {
    storage: MemoryStorage,
    journal: FileJournal,
    engine: Engine,
    now: Timestamp,
    told: Arc<Told>,
    last_body: usize,
    is_reading: bool,
}

#[derive(Default)]
struct Told(Mutex<Vec<Released>>);

impl Outlet for Told {
    fn push(&self, effects: &mut Vec<Released>) {
        self.0.lock().unwrap().append(effects);
    }
}

/// Publishes, takes from the queue `busy`, and takes from others.
const PUBLISHER: u64 = 1;
const BUSY: u64 = 2;
const OTHER: u64 = 3;

const SEGMENT_BYTES: u64 = 32 << 10;
const SLACK_BYTES: u64 = 128 << 10;
const STUCK_BYTES: usize = 1000;

fn options() -> FileOptions {
    FileOptions {
        segment_bytes_first: SEGMENT_BYTES,
        segment_bytes_max: SEGMENT_BYTES,
        spare_segments_max: 1,
        ..FileOptions::new(1)
    }
}

impl Store {
    fn new() -> Self {
        let mut store = Self::open(MemoryStorage::new(), Timestamp(1000));
        store.ask(PUBLISHER, [declare("stuck", true), declare("busy", true)]);
        store.ask(BUSY, [consume("busy", true)]);
        store
    }

    fn open(storage: MemoryStorage, now: Timestamp) -> Self {
        let journal = FileJournal::stepped(Arc::new(storage.clone()), options());
        // So little that bodies are read back, but for the newest.
        let settings = Settings {
            body_cache_bytes: 32 << 10,
            entry_bytes_target: 8 << 10,
            delivery_window_bytes: 1 << 40,
            compaction_slack_bytes: SLACK_BYTES,
            ..Settings::default()
        };
        let engine = Engine::open(settings, &journal, &log(), Arc::new(storage.clone()), now).unwrap();
        let told = Arc::default();
        let mut store = Self { storage, journal, engine, now, told, last_body: 0, is_reading: true };
        for connection in [PUBLISHER, BUSY, OTHER] {
            let outlet: Arc<Told> = store.told.clone();
            store.engine.connect(now, ConnectionId(connection), ShortString::default(), outlet);
            store.ask(connection, [Operation::OpenSession]);
        }
        store
    }

    /// The process is killed, and starts again.
    fn restart(self) -> Self {
        let Self { storage, journal, engine, now, last_body, .. } = self;
        drop((engine, journal));
        storage.crash(0);
        let mut store = Self { last_body, ..Self::open(storage, now) };
        store.ask(BUSY, [consume("busy", true)]);
        store
    }

    fn ask(&mut self, connection: u64, operations: impl IntoIterator<Item = Operation>) {
        let session = SessionId { connection: ConnectionId(connection), channel: 1 };
        let command = |operation| Command::Session { session, request: RequestTag(1), operation };
        self.engine.submit(self.now, &mut operations.into_iter().map(command).collect());
        self.settle();
    }

    /// Does all that there is to do.
    fn settle(&mut self) {
        loop {
            let mut steps = vec![Step::Spares, Step::Write, Step::Sync, Step::Compact];
            steps.extend(self.is_reading.then_some(Step::Read(0)));
            let has_worked = steps.iter().any(|step| self.journal.step(&log(), *step));
            self.engine.pump(self.now);
            let job = self.engine.take_checkpoint_job();
            let has_job = job.is_some();
            job.into_iter().for_each(|job| self.engine.checkpoint_done(job.run()));
            let due = self.engine.next_deadline().filter(|due| due.0 <= self.now.0 + 100);
            if let Some(due) = due {
                self.now = self.now.max(due);
                self.engine.tick(self.now);
            }
            if !has_worked && !has_job && due.is_none() {
                break;
            }
        }
        assert_eq!(self.engine.health(), Health::Serving);
    }

    /// Fills a segment with what is settled at once.
    fn fill_segment(&mut self) {
        (0..4).for_each(|number| self.ask(PUBLISHER, [publish("busy", body(number, 7000))]));
    }

    /// Messages that nobody takes, a segment apart.
    fn leave_stuck(&mut self, count: usize) {
        for _ in 0..count {
            self.last_body += 1;
            self.ask(PUBLISHER, [publish("stuck", body(self.last_body, STUCK_BYTES))]);
            self.fill_segment();
        }
    }

    fn hear(&mut self) -> Vec<Released> {
        self.told.0.lock().unwrap().drain(..).collect()
    }

    /// Takes all messages of a queue; the connection holds them from now on.
    fn take(&mut self, queue: &str) -> Vec<Vec<u8>> {
        self.hear();
        self.ask(OTHER, [consume(queue, false)]);
        let heard = self.hear();
        let bodies = heard.into_iter().filter_map(|released| match released.effect {
            Effect::Deliver { message, .. } => Some(message.body().to_vec()),
            _ => None,
        });
        bodies.collect()
    }

    fn assert_has_stuck(&mut self, numbers: impl IntoIterator<Item = usize>) {
        let expected: Vec<Vec<u8>> = numbers.into_iter().map(|number| body(number, STUCK_BYTES)).collect();
        assert!(self.take("stuck") == expected, "{} bodies were expected", expected.len());
    }

    fn files(&self, ending: &str) -> Vec<String> {
        let names = self.storage.list("vhost").unwrap().into_iter().filter(|name| name.ends_with(ending));
        names.map(|name| format!("vhost/{name}")).collect()
    }

    fn compacted_bytes(&self) -> u64 {
        self.files(".compacted").iter().map(|file| self.storage.open(file).unwrap().len().unwrap()).sum()
    }

    fn data_files(&self) -> DataFiles {
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        DataFiles { data: storage.clone(), journal: storage, journal_folder: "journal".to_owned() }
    }
}

#[test]
fn a_hundred_stuck_messages_in_a_hundred_segments_end_in_little_more_than_their_bytes() {
    let mut store = Store::new();
    store.leave_stuck(100);
    let journal_bytes = store.engine.counts().journal_bytes;
    assert!(journal_bytes < 100 * SEGMENT_BYTES / 4, "{journal_bytes}: {:?}", store.files(""));
    // As one file, or as some small ones of which each is made into the next.
    let compacted_bytes = store.compacted_bytes();
    assert!(compacted_bytes > 60_000 && compacted_bytes < 200_000, "{compacted_bytes}");
    store.assert_has_stuck(1..=100);
    store = store.restart();
    store.assert_has_stuck(1..=100);
    store = store.restart();
    store.leave_stuck(60);
    assert!(store.engine.counts().journal_bytes < 60 * SEGMENT_BYTES / 2);
    store.assert_has_stuck(1..=160);
    store = store.restart();
    store.assert_has_stuck(1..=160);
    // When they are settled after all, all of it goes.
    store.ask(OTHER, [ack(0, true)]);
    (0..6).for_each(|_| store.fill_segment());
    assert!(store.files(".compacted").is_empty(), "{:?}", store.files(""));
    assert!(store.engine.counts().journal_bytes < 6 * SEGMENT_BYTES, "{:?}", store.engine.counts());
}

#[test]
fn parts_of_one_entry_are_read_with_holes_between_them() {
    let mut store = Store::new();
    for round in 0..20 {
        // One batch is one entry.
        let numbers = round * 6..round * 6 + 6;
        let batch: Vec<_> = numbers.map(|number| publish("stuck", body(number, STUCK_BYTES))).collect();
        store.ask(PUBLISHER, batch);
        store.fill_segment();
    }
    let all = store.take("stuck");
    assert_eq!(all.len(), 120);
    // Tags and bodies both ascend; every third is kept.
    let settled = (0..120).filter(|number| number % 3 != 0).map(|number| ack(number + 1, false));
    store.ask(OTHER, settled);
    (0..8).for_each(|_| store.fill_segment());
    assert!(store.compacted_bytes() > 0, "{:?}", store.files(""));
    store = store.restart();
    store.assert_has_stuck((0..120).filter(|number| number % 3 == 0));
}

#[test]
fn what_is_on_its_way_to_a_client_is_kept() {
    let mut store = Store::new();
    store.leave_stuck(3);
    // Settled by their deliveries, which wait for bodies that come late.
    store.is_reading = false;
    store.hear();
    store.ask(OTHER, [consume("stuck", true)]);
    assert!(store.journal.pending(&log()).reads > 0);
    assert_eq!(store.compacted_bytes(), 0);
    store.leave_stuck(13);
    assert!(store.compacted_bytes() > 0, "{:?}", store.files(""));
    store.is_reading = true;
    store.settle();
    let heard: Vec<String> = store.hear().iter().map(|released| describe(&released.effect)).collect();
    let expected: Vec<String> = (1..=16).map(|number| format!("#{number} m{number}")).collect();
    let delivered = heard.iter().filter(|heard| expected.contains(heard));
    assert_eq!(delivered.count(), 16, "{heard:?}");
}

#[test]
fn the_doctor_knows_compacted_files() {
    let mut store = Store::new();
    store.leave_stuck(40);
    let examination = examine(&store.data_files(), &log()).unwrap();
    assert!(examination.damages.is_empty() && examination.scars.is_empty(), "{:?}", examination.damages);
    let survey = examination.survey.unwrap();
    let found: u64 = survey.compacted.iter().map(|found| found.entries).sum();
    assert!(found > 20, "{found} of 40 are in compacted files");

    let path = store.files(".compacted").remove(0);
    let file = store.storage.open(&path).unwrap();
    file.write_all_at(&mut [IoSlice::new(b"?")], 4096 + 100).unwrap();
    let files = store.data_files();
    let examination = examine(&files, &log()).unwrap();
    let [damage] = &examination.damages[..] else { panic!("{:?}", examination.damages) };
    assert_eq!(damage.file, format!("journal/{path}"));
    let Meaning::Bodies { messages, results: 0, start_refused: false } = &damage.meaning else {
        panic!("{:?}", damage.meaning)
    };
    assert_eq!((messages[0].queue.to_string(), messages[0].messages), ("stuck".to_owned(), 1));

    drop((store.engine, store.journal));
    let aside = make_aside(&files).unwrap();
    let repaired = repair(&files, &log(), &aside, options(), Timestamp(9)).unwrap();
    assert!(repaired.aside.iter().any(|file| file.ends_with(".compacted")), "{:?}", repaired.aside);
    let mut store = Store::open(store.storage, Timestamp(5000));
    let found = store.take("stuck");
    assert_eq!(found.len(), 39);
    assert!(found.iter().all(|body| body.len() == STUCK_BYTES));
}

#[test]
fn a_crash_anywhere_while_files_are_compacted_loses_nothing() {
    for operations in (0..240).step_by(3) {
        let mut store = Store::new();
        store.leave_stuck(12);
        store.storage.cut_power_after(operations);
        let published = store.last_body;
        for _ in 0..8 {
            if !store.storage.is_off() {
                store.ask_in_the_dark();
            }
        }
        let Store { storage, journal, engine, now, .. } = store;
        drop((engine, journal));
        storage.crash(operations);
        let mut store = Store::open(storage, now);
        let found = store.take("stuck");
        let expected: Vec<Vec<u8>> = (1..=published).map(|number| body(number, STUCK_BYTES)).collect();
        assert!(found.starts_with(&expected), "{operations}: {} of {published}", found.len());
    }
}

impl Store {
    /// Goes on while the power may be cut at any operation.
    fn ask_in_the_dark(&mut self) {
        self.last_body += 1;
        let stuck = publish("stuck", body(self.last_body, STUCK_BYTES));
        let busy = (0..4).map(|number| publish("busy", body(number, 7000)));
        for operation in std::iter::once(stuck).chain(busy) {
            let session = SessionId { connection: ConnectionId(PUBLISHER), channel: 1 };
            let command = Command::Session { session, request: RequestTag(1), operation };
            self.engine.submit(self.now, &mut vec![command]);
            for _ in 0..40 {
                let steps = [Step::Spares, Step::Write, Step::Sync, Step::Compact, Step::Read(0)];
                let has_worked = steps.iter().any(|step| self.journal.step(&log(), *step));
                self.engine.pump(self.now);
                let job = self.engine.take_checkpoint_job();
                let has_job = job.is_some();
                job.into_iter().for_each(|job| self.engine.checkpoint_done(job.run()));
                if self.storage.is_off() || (!has_worked && !has_job) {
                    break;
                }
            }
        }
    }
}

#[test]
fn what_holds_the_files_is_named() {
    let mut store = Store::new();
    let pins = |store: &Store| store.engine.pins(store.engine.pins_job().unwrap().run().unwrap());
    store.leave_stuck(40);
    let found = pins(&store);
    assert!(found.as_of > Timestamp(0) && found.as_of <= store.now);
    assert!(found.files.len() < 10, "{found:?}");
    let live: u64 = found.files.iter().map(|pin| pin.live_bodies).sum();
    assert!((36..=40).contains(&live), "all but those of the newest segments: {live}");
    for pin in &found.files {
        assert!(pin.bytes > pin.live_bytes && pin.live_bytes > 1000 * pin.live_bodies, "{pin:?}");
        let oldest = pin.oldest.as_ref().unwrap();
        assert_eq!(oldest.queue, Some(crate::bench::name("stuck")));
        assert_eq!(oldest.standing, Some(Standing::Waiting));
    }
    let first = &found.files[0];
    assert!(first.file.ends_with(".compacted") && first.live_bodies > 10, "{first:?}");
    let BodyOwner::Message { sequence: 0, .. } = first.oldest.as_ref().unwrap().owner else {
        panic!("{first:?}")
    };

    store.now.0 += 5000;
    let delivered_at = store.now;
    store.take("stuck");
    store.now.0 += 5000;
    (0..2).for_each(|_| store.fill_segment());
    for pin in pins(&store).files {
        let Some(Standing::Delivered(holding)) = pin.oldest.unwrap().standing else { panic!("all are held") };
        assert_eq!(holding.session.connection, ConnectionId(OTHER));
        assert_eq!(holding.consumer_tag, Some(crate::bench::name("t")));
        assert_eq!(holding.since, delivered_at);
    }
    // Before the next checkpoint knows.
    store.ask(OTHER, [ack(0, true)]);
    let gone = pins(&store);
    assert!(!gone.files.is_empty());
    assert!(gone.files.iter().all(|pin| pin.oldest.as_ref().unwrap().standing == Some(Standing::Gone)));
    (0..6).for_each(|_| store.fill_segment());
    assert!(pins(&store).files.iter().all(|pin| pin.live_bodies == 0));
}
