//! The hot paths of core and engine together allocate nothing per message.

use std::sync::{Arc, Mutex};

use allocation_count::{CountingAllocator, allocations_of};
use broker::{
    Command, ConnectionId, Consume, DeclareQueue, Effect, Envelope, Operation, Outcome, Publish, RequestTag,
    SessionId, Timestamp,
};
use engine::{Engine, Outlet, Released, Settings};
use field_table::{ShortString, Table};
use journal::storage::MemoryStorage;
use journal::{LogName, MemoryJournal};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Commands of one read of a socket.
const BATCH: usize = 100;
const WARM_UP_BATCHES: usize = 200;
const BATCHES: usize = 1000;

/// Takes effects in, as a mailbox of the server does: its memory is used again.
#[derive(Default)]
struct Mailbox(Mutex<Vec<Released>>);

impl Outlet for Mailbox {
    fn push(&self, effects: &mut Vec<Released>) {
        self.0.lock().unwrap().append(effects);
    }
}

struct Bench {
    journal: MemoryJournal,
    engine: Engine,
    publisher: Arc<Mailbox>,
    consumer: Arc<Mailbox>,
    now: Timestamp,
}

fn ask(connection: u64, operation: Operation) -> Command {
    let session = SessionId { connection: ConnectionId(connection), channel: 1 };
    Command::Session { session, request: RequestTag(1), operation }
}

impl Bench {
    fn new(durable: bool, no_ack: bool) -> Self {
        let journal = MemoryJournal::manual();
        let log = LogName::new("vhost").unwrap();
        let now = Timestamp(1);
        // Small enough that old entries leave the cache while the test runs, as they do in a long life.
        let settings = Settings { body_cache_bytes: 8 * 1024 * 1024, ..Settings::default() };
        let engine = Engine::open(settings, &journal, &log, Arc::new(MemoryStorage::new()), now).unwrap();
        let mut bench = Self { journal, engine, publisher: Arc::default(), consumer: Arc::default(), now };
        bench.engine.connect(
            now,
            ConnectionId(1),
            field_table::ShortString::default(),
            bench.publisher.clone(),
        );
        bench.engine.connect(
            now,
            ConnectionId(2),
            field_table::ShortString::default(),
            bench.consumer.clone(),
        );
        let name = ShortString::from_static("queue");
        let declare = DeclareQueue {
            name: name.clone(),
            generated: false,
            passive: false,
            durable,
            exclusive: false,
            auto_delete: false,
            arguments: Table::default(),
        };
        let consume = Consume {
            queue: name,
            tag: ShortString::from_static("amq.ctag-with-a-usual-length"),
            no_ack,
            exclusive: false,
            arguments: Table::default(),
            reply_address: None,
        };
        let declare = Operation::DeclareQueue(declare);
        bench.submit(
            &mut [Operation::OpenSession, declare, Operation::SelectConfirm].map(|o| ask(1, o)).into(),
        );
        bench.submit(&mut [Operation::OpenSession, Operation::Consume(consume)].map(|o| ask(2, o)).into());
        bench.settle();
        bench.take_delivered();
        bench
    }

    /// Lets the engine take commands. Allocations of the engine alone.
    fn submit(&mut self, commands: &mut Vec<Command>) -> u64 {
        allocations_of(|| self.engine.submit(self.now, commands))
    }

    /// Makes everything durable; what the journal itself allocates is not counted.
    fn settle(&mut self) -> u64 {
        let mut allocations = 0;
        loop {
            let stepped = self.journal.step();
            self.now.0 += 10;
            allocations += allocations_of(|| {
                self.engine.pump(self.now);
                self.engine.tick(self.now);
            });
            if let Some(job) = self.engine.take_checkpoint_job() {
                self.engine.checkpoint_done(job.run());
            }
            // Not until it rests: who is busy has no time to.
            if !stepped && self.engine.is_drained() {
                return allocations;
            }
        }
    }

    /// Deliveries since the last call: how many, their bytes, the last tag.
    fn take_delivered(&mut self) -> (usize, u64, u64) {
        self.publisher.0.lock().unwrap().clear();
        let (mut count, mut bytes, mut last_tag) = (0, 0, 0);
        for released in self.consumer.0.lock().unwrap().drain(..) {
            if let Effect::Deliver { message, delivery_tag, .. } = released.effect {
                count += 1;
                bytes += message.stored_bytes() as u64;
                last_tag = delivery_tag;
            }
        }
        (count, bytes, last_tag)
    }
}

fn allocations_per_message(persistent: bool, no_ack: bool, body_bytes: usize) -> f64 {
    let mut bench = Bench::new(persistent, no_ack);
    let envelope = Envelope::new(b"", b"queue", b"properties", &vec![7; body_bytes]);
    let mut allocations = 0;
    for batch in 0..WARM_UP_BATCHES + BATCHES {
        let publish = || Publish { envelope: envelope.clone(), mandatory: false, persistent, headers: None };
        let mut commands: Vec<Command> = (0..BATCH).map(|_| ask(1, Operation::Publish(publish()))).collect();
        let mut of_batch = bench.submit(&mut commands) + bench.settle();
        let (count, bytes, delivery_tag) = bench.take_delivered();
        assert_eq!(count, BATCH, "all were delivered");
        commands.push(Command::Sent { connection: ConnectionId(2), bytes });
        if !no_ack {
            let settle = Operation::Settle { delivery_tag, multiple: true, outcome: Outcome::Acknowledged };
            commands.push(ask(2, settle));
        }
        of_batch += bench.submit(&mut commands) + bench.settle();
        if batch >= WARM_UP_BATCHES {
            allocations += of_batch;
        }
    }
    allocations as f64 / (BATCH * BATCHES) as f64
}

/// Pages, chunks of entries and blocks, checkpoints of a segment of eight entries: all of it is paid for by the batch.
const PER_MESSAGE_MAX: f64 = 0.15;

#[test]
fn the_way_of_a_message_allocates_nothing_of_its_own() {
    for (persistent, no_ack, body_bytes) in [(false, true, 100), (true, false, 1000), (true, true, 10)] {
        let found = allocations_per_message(persistent, no_ack, body_bytes);
        println!(
            "persistent {persistent}, no ack {no_ack}, {body_bytes} bytes: {found:.4} allocations a message"
        );
        assert!(found > 0.0, "pages have to be paid for: the allocator does not count");
        assert!(
            found < PER_MESSAGE_MAX,
            "persistent {persistent}, no ack {no_ack}: {found} allocations a message"
        );
    }
}
