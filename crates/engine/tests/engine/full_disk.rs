//! An engine over files on a disk that fills up: publishers are refused, everybody else goes on, and it ends by itself.

use std::sync::{Arc, Mutex};

use broker::{Command, ConnectionId, Operation, RequestTag, SessionId, Timestamp};
use engine::{Engine, Health, Outlet, Released, Settings};
use field_table::ShortString;
use journal::storage::{MemoryStorage, Storage};
use journal::{FileJournal, FileOptions, LogName, Step};

use crate::bench::{ack, body, consume, declare, describe, get, log, publish, transient};

/// Journal and checkpoints on one disk, with segments of 64 KB.
struct Disk {
    storage: MemoryStorage,
    journal: FileJournal,
    engine: Engine,
    now: Timestamp,
    told: Arc<Told>,
    /// Publishes of the first connection so far.
    published: usize,
}

#[derive(Default)]
struct Told(Mutex<Vec<Released>>);

impl Outlet for Told {
    fn push(&self, effects: &mut Vec<Released>) {
        self.0.lock().unwrap().append(effects);
    }
}

const RESERVE_BYTES: u64 = 128 << 10;
const CAPACITY_BYTES: u64 = 1 << 20;
const ONE: u64 = 1;

impl Disk {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let storage = MemoryStorage::new();
        let now = Timestamp(1000);
        let (journal, engine) = open(settings, &storage, now);
        let mut disk = Self { storage, journal, engine, now, told: Arc::default(), published: 0 };
        disk.connect(ONE);
        disk.settle();
        disk.storage.set_capacity(CAPACITY_BYTES);
        disk
    }

    fn connect(&mut self, connection: u64) {
        let outlet: Arc<Told> = self.told.clone();
        self.engine.connect(self.now, ConnectionId(connection), ShortString::default(), outlet);
        self.ask(connection, [Operation::OpenSession]);
    }

    fn ask(&mut self, connection: u64, operations: impl IntoIterator<Item = Operation>) {
        let session = SessionId { connection: ConnectionId(connection), channel: 1 };
        let command = |operation| Command::Session { session, request: RequestTag(1), operation };
        let mut commands = operations.into_iter().map(command).collect();
        self.engine.submit(self.now, &mut commands);
    }

    /// All that can be done without time going on, but for what is due within 100 ms.
    fn settle(&mut self) {
        let until = self.now.0 + 100;
        loop {
            let steps = [Step::Spares, Step::Write, Step::Sync, Step::Read(0)];
            let pending = self.journal.pending(&log());
            let worked = (pending.spares && self.journal.step(&log(), steps[0]))
                | steps[1..].iter().any(|step| self.journal.step(&log(), *step));
            self.engine.pump(self.now);
            self.checkpoint();
            let due = self.engine.next_deadline().filter(|due| due.0 <= until);
            if let Some(due) = due {
                self.now = self.now.max(due);
                self.engine.tick(self.now);
            }
            if !worked && due.is_none() {
                return;
            }
        }
    }

    /// Lets a second pass, in which the journal looks for room and the engine for something to free.
    fn second(&mut self) {
        self.journal.step(&log(), Step::Spares);
        self.now.0 += 1000;
        self.engine.tick(self.now);
        self.settle();
    }

    fn checkpoint(&mut self) {
        if let Some(job) = self.engine.take_checkpoint_job() {
            self.engine.checkpoint_done(job.run());
        }
    }

    fn hear(&mut self) -> Vec<String> {
        self.told.0.lock().unwrap().drain(..).map(|released| describe(&released.effect)).collect()
    }

    /// Publishes until the disk is low; how many messages were confirmed.
    fn fill(&mut self, queue: &str) -> usize {
        let (mut confirmed, mut tries) = (0, 0);
        while !self.engine.storage_room().is_low {
            tries += 1;
            assert!(
                tries < 1000,
                "a disk of {CAPACITY_BYTES} bytes never fills: {:?}",
                self.engine.storage_room()
            );
            self.published += 1;
            self.ask(ONE, [publish(queue, body(confirmed + 1, 4000))]);
            self.settle();
            confirmed += self.hear().iter().filter(|heard| heard.starts_with("confirmed")).count();
        }
        confirmed
    }

    /// The process is killed, and starts again on the same disk.
    fn restart(&mut self, seed: u64) {
        self.storage.crash(seed);
        self.storage.set_capacity(self.storage.bytes());
        (self.journal, self.engine) = open(Settings::default(), &self.storage, self.now);
        self.told.0.lock().unwrap().clear();
        self.connect(ONE);
        self.settle();
        self.hear();
    }

    fn confirming(mut self) -> Self {
        self.ask(ONE, [declare("q", true), declare("other", true), Operation::SelectConfirm]);
        self.settle();
        self.hear();
        self
    }
}

fn open(settings: Settings, storage: &MemoryStorage, now: Timestamp) -> (FileJournal, Engine) {
    let options = FileOptions {
        segment_bytes_first: 64 << 10,
        segment_bytes_max: 64 << 10,
        reserve_bytes: RESERVE_BYTES,
        ..FileOptions::new(1)
    };
    let journal = FileJournal::stepped(Arc::new(storage.clone()), options);
    let settings = Settings { storage_reserve_bytes: RESERVE_BYTES, ..settings };
    let name: LogName = log();
    let engine = Engine::open(settings, &journal, &name, Arc::new(storage.clone()), now).unwrap();
    (journal, engine)
}

#[test]
fn publishers_are_refused_until_a_drain_makes_room() {
    let mut disk = Disk::new().confirming();
    let confirmed = disk.fill("q");
    assert!(confirmed > 100, "only {confirmed} messages of 4 KB on 1 MB");
    disk.ask(ONE, [publish("q", "refused"), declare("new", true), Operation::Echo]);
    disk.settle();
    let heard = disk.hear();
    let rejected = format!("rejected {}", disk.published + 1);
    // The connection was told when the first publish was refused, which may have been while the disk was filled.
    assert_eq!(
        heard.iter().filter(|heard| *heard != "blocked").collect::<Vec<_>>(),
        [&rejected, "declared 0", "Echoed"]
    );

    // One at a time, as slow consumers do: each ack is an entry of its own, and they take more than the reserve.
    disk.ask(ONE, [consume("q", false)]);
    disk.settle();
    for tag in 1..=confirmed as u64 {
        disk.ask(ONE, [ack(tag, false)]);
        disk.second();
    }
    assert_eq!(disk.engine.health(), Health::Serving);
    assert!(!disk.engine.storage_room().is_low, "{:?}", disk.engine.storage_room());
    disk.ask(ONE, [publish("other", "again")]);
    disk.settle();
    let heard = disk.hear();
    assert!(heard.contains(&"unblocked".to_owned()));
    assert_eq!(heard.last().unwrap(), &format!("confirmed {}", disk.published + 2));
    disk.restart(1);
    disk.ask(ONE, [get("q"), get("other")]);
    disk.settle();
    assert_eq!(disk.hear(), ["GetEmpty", "got again again"]);
}

#[test]
fn a_queue_that_is_deleted_makes_room_too() {
    let mut disk = Disk::new().confirming();
    disk.fill("q");
    disk.ask(
        ONE,
        [Operation::DeleteQueue { name: crate::bench::name("q"), if_unused: false, if_empty: false }],
    );
    disk.settle();
    (0..3).for_each(|_| disk.second());
    assert!(!disk.engine.storage_room().is_low);
}

#[test]
fn room_that_others_free_is_found_within_a_second() {
    let mut disk = Disk::new().confirming();
    let confirmed = disk.fill("q");
    disk.second();
    assert!(disk.engine.storage_room().is_low, "nothing was freed");
    disk.storage.set_capacity(2 * CAPACITY_BYTES);
    disk.second();
    assert!(!disk.engine.storage_room().is_low);
    disk.ask(ONE, [publish("q", body(confirmed + 1, 4000))]);
    disk.settle();
    assert_eq!(disk.hear(), [format!("confirmed {}", disk.published + 1)]);
}

#[test]
fn a_start_on_a_full_disk_finds_everything_and_is_still_full() {
    for seed in 0..5 {
        let mut disk = Disk::new().confirming();
        let confirmed = disk.fill("q");
        disk.restart(seed);
        assert!(disk.engine.storage_room().is_low);
        disk.ask(
            ONE,
            [declare("q", true), Operation::SelectConfirm, publish("q", "no"), consume("q", false)],
        );
        disk.settle();
        let heard = disk.hear();
        assert_eq!(heard[0], format!("declared {confirmed}"));
        assert!(heard.contains(&"rejected 1".to_owned()), "{heard:?}");
        let delivered: Vec<&String> = heard.iter().filter(|heard| heard.starts_with('#')).collect();
        let expected: Vec<String> =
            (1..=confirmed).map(|number| format!("#{number} m{number} again")).collect();
        assert!(delivered.iter().copied().eq(&expected), "{delivered:?}");
        disk.ask(ONE, [ack(0, true)]);
        disk.settle();
        (0..3).for_each(|_| disk.second());
        assert!(!disk.engine.storage_room().is_low);
    }
}

#[test]
fn publishes_that_nobody_confirms_wait_and_are_bounded() {
    let settings = Settings { publish_window_bytes: 50_000, ..Settings::default() };
    let mut disk = Disk::with(settings).confirming();
    let confirmed = disk.fill("q");
    disk.connect(2);
    for number in 0..20 {
        disk.ask(2, [publish("other", body(number, 4000))]);
        // Its acks are still heard, up to a bound.
        assert_eq!(disk.engine.publish_credit(ConnectionId(2)), number < 12, "{number}");
    }
    disk.settle();
    assert_eq!(disk.engine.counts().counters.publishes_held_back, 20);
    disk.hear();
    disk.ask(ONE, [consume("q", true)]);
    disk.settle();
    (0..3).for_each(|_| disk.second());
    assert!(!disk.engine.storage_room().is_low);
    assert!(disk.engine.publish_credit(ConnectionId(2)));
    disk.hear();
    disk.ask(2, [get("other"), get("other"), publish("other", "behind")]);
    disk.settle();
    assert_eq!(disk.hear(), ["got m0", "got m1"]);
    let counters = disk.engine.counts().counters;
    assert_eq!((counters.published, counters.dropped_without_room), (confirmed as u64 + 22, 0));
}

/// P5: there was no room on the disk for the first, and room in memory for the second.
#[test]
fn a_transient_publish_does_not_overtake_one_that_is_held_back() {
    let mut disk = Disk::new().confirming();
    disk.fill("q");
    disk.connect(2);
    disk.ask(2, [publish("other", "first")]);
    disk.ask(2, [transient("other", "second")]);
    disk.settle();
    disk.storage.set_capacity(2 * CAPACITY_BYTES);
    disk.second();
    disk.hear();
    disk.ask(2, [get("other"), get("other")]);
    disk.settle();
    assert_eq!(disk.hear(), ["got first", "got second"]);
}

#[test]
fn who_leaves_while_it_is_held_back_is_counted() {
    let mut disk = Disk::new().confirming();
    disk.fill("q");
    disk.connect(2);
    disk.ask(2, [publish("other", "a"), publish("other", "b"), transient("nowhere", "unroutable")]);
    disk.engine.submit(disk.now, &mut vec![Command::Disconnect { connection: ConnectionId(2), lost: false }]);
    disk.settle();
    assert_eq!(disk.engine.counts().counters.dropped_without_room, 2);
    disk.storage.set_capacity(2 * CAPACITY_BYTES);
    disk.second();
    assert!(!disk.engine.storage_room().is_low);
}

#[test]
fn transient_bodies_do_not_spill_into_the_reserve() {
    let settings = Settings { body_cache_bytes: 1 << 20, ..Settings::default() };
    let mut disk = Disk::with(settings).confirming();
    disk.fill("q");
    let before = disk.engine.storage_room().room_bytes;
    let mut taken = 0;
    for number in 1..=40 {
        disk.ask(ONE, [transient("other", body(number, 50_000))]);
        disk.settle();
        taken += usize::from(disk.hear().contains(&format!("confirmed {}", disk.published + number)));
    }
    assert!((5..=20).contains(&taken), "{taken} of 40 bodies of 50 KB in half a megabyte");
    assert!(before - disk.engine.storage_room().room_bytes < 32 << 10);
    let cached = disk.engine.counts().body_cache_bytes;
    assert!(cached < 1536 << 10, "{cached} bytes of bodies, where 1 MiB was allowed");
}

#[test]
fn a_checkpoint_has_room_on_a_disk_that_others_have_filled() {
    let mut disk = Disk::new().confirming();
    let confirmed = disk.fill("q");
    // Somebody takes the last byte.
    disk.storage.set_capacity(disk.storage.bytes());
    let before = disk.engine.counts().checkpoints;
    disk.ask(ONE, [consume("q", true)]);
    disk.settle();
    disk.second();
    assert!(disk.engine.counts().checkpoints > before, "the ballast makes room");
    disk.second();
    assert!(!disk.engine.storage_room().is_low, "{confirmed}");
    assert!(disk.storage.exists("checkpoints/vhost/ballast").unwrap(), "and comes back");
}

#[test]
fn a_failed_sync_ends_it_for_good_and_says_why() {
    let mut disk = Disk::new().confirming();
    disk.ask(ONE, [publish("q", "safe")]);
    disk.settle();
    disk.hear();
    disk.storage.fail_sync_after(0);
    disk.ask(ONE, [publish("q", "in doubt")]);
    disk.settle();
    assert!(disk.hear().is_empty(), "nothing more is confirmed");
    let Health::Failed { reason } = disk.engine.health() else { panic!("the journal is lost") };
    for word in ["sync of vhost/0000000000000001.seg failed", "injected", "Mend the disk and start again"] {
        assert!(reason.contains(word), "'{word}' is missing in: {reason}");
    }
    disk.storage.set_capacity(1 << 30);
    disk.ask(ONE, [publish("q", "refused")]);
    disk.settle();
    assert!(disk.hear().is_empty());
    disk.restart(1);
    disk.ask(ONE, [get("q")]);
    disk.settle();
    assert_eq!(disk.hear(), ["got safe again"]);
}
