//! Any bytes as a journal entry, and as rows of a checkpoint: they are read or refused, and what is read can be applied.
//!
//! Shared with the fuzz target `core_records`.

use broker::{Broker, Command, Lsn, Output, Record, Settings, Target, Timestamp};
use bytes::{Bytes, BytesMut};

use crate::choices::Choices;
use crate::rows::Rows;
use crate::world::World;

/// Numbers of messages and queues that are further away are left out: a gap in a queue costs 8 bytes for each 512 messages,
/// however it came about, and these bytes have a checksum, so that only this program can have written them.
const FAR: u64 = 1 << 20;

/// The first byte says what the others are.
pub(crate) fn check_bytes(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.byte() % 2 {
        0 => check_entry(choices.rest(bytes.len()).into()),
        _ => check_rows(&mut choices),
    }
}

fn check_entry(entry: Bytes) {
    let mut broker = start();
    let mut records = Record::read_entry(Lsn(1000), entry);
    let mut arrived = None;
    while let Some(record) = records.next() {
        let Ok(record) = record else {
            assert!(records.next().is_none(), "nothing is read behind what is broken");
            break;
        };
        check_writing(&record);
        if !is_possible(&record, &broker, arrived.take()) {
            continue;
        }
        if let Record::Published { targets, .. } = &record {
            arrived = targets.first().copied();
        }
        broker.apply(record);
    }
    check_state(broker);
}

/// What was read is written as it was, as far as records are written one by one.
fn check_writing(record: &Record) {
    if let Record::Published { .. } | Record::Spilled { .. } | Record::TaskEnded(_) = record {
        return;
    }
    let mut written = BytesMut::new();
    record.write(&mut written);
    let read: Vec<_> = Record::read_entry(Lsn(1000), written.freeze()).collect();
    assert_eq!(read, [Ok(record.clone())]);
}

fn check_rows(choices: &mut Choices<'_>) {
    let mut broker = Broker::new(Settings::default());
    while !choices.is_empty() {
        let (key, value) = (usize::from(choices.byte() % 64), usize::from(choices.byte()));
        let (key, value) = (choices.rest(key), choices.rest(value));
        let number =
            |at: usize| key.get(at..at + 8).map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        let is_far = match key.first() {
            Some(b'P') => number(10).is_some_and(|first| first > FAR || first % 512 != 0),
            Some(b'Q') => value.len() > 6,
            // Whether its message is there, only the core can tell.
            Some(b'W') => true,
            _ => false,
        };
        if is_far || broker.restore(&key, value.into()).is_err() {
            break;
        }
    }
    check_state(broker);
}

/// A state that came about anyhow is looked at, kept in rows, and found again.
fn check_state(mut broker: Broker) {
    let view = broker.durable_view();
    let restored = Rows::all_of(&mut broker).restored(Settings::default());
    assert_eq!(restored.durable_view(), view);
    let _ = (broker.totals(), broker.next_deadline());
    broker.handle(Timestamp(5000), Command::Tick, &mut Output::new(Lsn(2000)));
}

/// Whether this program can have written the record. What it says of the state is true, or it is a bug. `arrived` is the
/// message of the record before.
fn is_possible(record: &Record, broker: &Broker, arrived: Option<Target>) -> bool {
    let view = broker.durable_view();
    match record {
        Record::Published { targets, .. } => targets.iter().all(|target| {
            let queue = view.queues.iter().find(|queue| queue.definition.number == target.queue);
            let last =
                queue.and_then(|queue| queue.messages.last()).map_or(0, |message| message.sequence + 1);
            let is_once = targets.iter().filter(|other| other.queue == target.queue).count() == 1;
            // What was settled may have been the last.
            is_once && (last + 600..FAR).contains(&target.sequence)
        }),
        Record::QueueDeclared(definition) => {
            let is_new = |queue: &broker::QueueView| {
                queue.definition.name != definition.name && queue.definition.number != definition.number
            };
            definition.number.0 < FAR && view.queues.iter().all(is_new)
        }
        Record::ExchangeDeclared(definition) => {
            view.exchanges.iter().all(|exchange| exchange.name != definition.name)
        }
        Record::TaskAccepted(accepted) => {
            let is_new = view.tasks.iter().all(|(id, _)| *id != accepted.id);
            is_new && arrived == Some(Target { queue: accepted.queue, sequence: accepted.sequence })
        }
        _ => true,
    }
}

/// A plain queue and one of tasks, each with messages.
fn start() -> Broker {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "one").publish("q", "two").bind("amq.topic", "a.*", "q").deaf();
    let tasks = |declare: &mut broker::DeclareQueue| {
        declare.arguments.insert(crate::world::name("x-task-queue"), field_table::Value::Bool(true));
    };
    world.on(1).declare_queue("tasks", tasks).publish("tasks", "one").publish("tasks", "two").deaf();
    world.replayed()
}
