//! The hot paths of the core allocate nothing per message.

use allocation_count::{CountingAllocator, allocations_of};
use broker::{
    Broker, Command, ConnectionId, Consume, DeclareQueue, Effect, Envelope, Lsn, Operation, Outcome, Output,
    Publish, RequestTag, SessionId, Settings, Timestamp,
};
use field_table::{ShortString, Table};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const BATCH: usize = 100;
const WARM_UP_BATCHES: usize = 100;
const BATCHES: usize = 1000;

fn session(connection: u64) -> SessionId {
    SessionId { connection: ConnectionId(connection), channel: 1 }
}

fn ask(connection: u64, operation: Operation) -> Command {
    Command::Session { session: session(connection), request: RequestTag(1), operation }
}

fn started(durable: bool, no_ack: bool) -> (Broker, Output) {
    let (mut broker, mut out) = (Broker::new(Settings::default()), Output::new(Lsn(1)));
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
    let commands = [
        Command::Connect { connection: ConnectionId(1), user: ShortString::default() },
        Command::Connect { connection: ConnectionId(2), user: ShortString::default() },
        ask(1, Operation::OpenSession),
        ask(2, Operation::OpenSession),
        ask(1, Operation::DeclareQueue(declare)),
        ask(1, Operation::SelectConfirm),
        ask(2, Operation::Consume(consume)),
    ];
    for command in commands {
        broker.handle(Timestamp(1), command, &mut out);
    }
    (broker, out)
}

/// Empties the output as an engine does, and gives its entry's memory back. Bytes of deliveries, and the last tag.
fn take(out: &mut Output) -> (u64, u64) {
    let (mut bytes, mut last_tag) = (0, 0);
    for addressed in out.effects.drain(..) {
        if let Effect::Deliver { message, delivery_tag, .. } = addressed.effect {
            bytes += u64::from(message.stored_bytes);
            last_tag = delivery_tag;
        }
    }
    if !out.entry.bytes.is_empty() {
        out.entry.bytes.clear();
        out.entry.lsn = out.entry.lsn.next();
    }
    out.volatile.filled.clear();
    out.volatile.retained.clear();
    out.volatile.released.clear();
    (bytes, last_tag)
}

/// Publishes in batches, delivers and acknowledges, and gives the allocations of a message once all is warm.
fn allocations_per_message(persistent: bool, no_ack: bool, body_bytes: usize) -> f64 {
    let (mut broker, mut out) = started(persistent, no_ack);
    let envelope = Envelope::new(b"", b"queue", b"properties", &vec![7; body_bytes]);
    let mut allocations = 0;
    for batch in 0..WARM_UP_BATCHES + BATCHES {
        let publish = || Publish { envelope: envelope.clone(), mandatory: false, persistent, headers: None };
        let commands: Vec<Command> = (0..BATCH).map(|_| ask(1, Operation::Publish(publish()))).collect();
        let now = Timestamp(batch as u64);
        let of_batch = allocations_of(|| {
            for command in commands {
                broker.handle(now, command, &mut out);
            }
            let (bytes, delivery_tag) = take(&mut out);
            assert_eq!(bytes, (BATCH * envelope.stored_bytes()) as u64, "all were delivered");
            broker.handle(now, Command::Sent { connection: ConnectionId(2), bytes }, &mut out);
            if !no_ack {
                let settle =
                    Operation::Settle { delivery_tag, multiple: true, outcome: Outcome::Acknowledged };
                broker.handle(now, ask(2, settle), &mut out);
                take(&mut out);
            }
        });
        if batch >= WARM_UP_BATCHES {
            allocations += of_batch;
        }
    }
    allocations as f64 / (BATCH * BATCHES) as f64
}

/// A page of 512 messages is a box and a list of slots that grows a few times, and 64 of the larger transient messages share
/// a chunk of memory; nothing else may be paid for.
const PER_MESSAGE_MAX: f64 = 0.04;

#[test]
fn publishing_and_delivering_allocate_nothing_per_message() {
    for (persistent, no_ack, body_bytes) in
        [(false, true, 100), (true, false, 1000), (true, true, 10), (false, false, 1000)]
    {
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
