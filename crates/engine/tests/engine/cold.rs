//! State that is not in memory: who waits for it, and who does not.

use broker::{Command, ConnectionId, Operation, RequestTag, SessionId};
use engine::{Health, Settings};
use journal::storage::Storage;

use crate::bench::{Bench, ack, body, consume, declare, get, name, publish};

/// Six pages and some: those between the first two and the last may leave.
const MESSAGES: usize = 512 * 6 + 88;

/// An engine that keeps no state in memory that it can read back, with a deep queue and a connection.
fn deep() -> (Bench, u64) {
    let mut bench = Bench::with(Settings { state_bytes: 1, ..Settings::default() });
    let one = bench.connect();
    bench.ask(one, [declare("deep", true), declare("other", true)]);
    publish_all(&mut bench, one, MESSAGES);
    // Others fill segments, so that a checkpoint is written with all of it.
    (0..20).for_each(|number| {
        bench.ask(one, [publish("other", body(number, 10))]);
        bench.settle();
    });
    bench.hear(one);
    (bench, one)
}

fn publish_all(bench: &mut Bench, connection: u64, count: usize) {
    let messages: Vec<Operation> = (0..count).map(|number| publish("deep", body(number, 10))).collect();
    for some in messages.chunks(200) {
        bench.ask(connection, some.to_vec());
        bench.settle();
    }
}

fn session(connection: u64, channel: u16, operation: Operation) -> Command {
    let session = SessionId { connection: ConnectionId(connection), channel };
    Command::Session { session, request: RequestTag(1), operation }
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("m{number}")).collect()
}

/// Consumes without acks until nothing more comes.
fn consumed(bench: &mut Bench, connection: u64) -> Vec<String> {
    bench.ask(connection, [consume("deep", true)]);
    let mut found = Vec::new();
    loop {
        bench.settle();
        let heard = bench.hear(connection);
        if heard.is_empty() {
            return found;
        }
        let delivered = heard.iter().filter_map(|told| told.strip_prefix('#')?.split_once(' '));
        found.extend(delivered.map(|(_, message)| message.to_owned()));
    }
}

#[test]
fn a_queue_that_is_mostly_cold_is_consumed_in_order() {
    let (mut bench, _) = deep();
    let two = bench.connect();
    assert_eq!(consumed(&mut bench, two), names(0..MESSAGES));
}

#[test]
fn after_a_crash_a_cold_queue_has_all_it_had_and_nothing_of_what_was_settled() {
    let (mut bench, one) = deep();
    // In the middle of a cold page, so that the replay has to bring it.
    bench.ask(one, (0..1300).map(|_| get("deep")));
    bench.settle();
    bench.ask(one, [ack(1200, true)]);
    bench.settle();
    bench.crash(0);
    assert_eq!(bench.engine.counts().totals.messages_ready, (MESSAGES - 1200 + 20) as u64);
    let two = bench.connect();
    let again: Vec<String> = names(1200..MESSAGES).into_iter().map(|name| name + " again").collect();
    assert_eq!(consumed(&mut bench, two), again);
}

#[test]
fn a_get_that_misses_holds_its_own_session_up_and_nobody_else() {
    let (mut bench, one) = deep();
    let two = bench.connect();
    bench.send(vec![session(one, 2, Operation::OpenSession)]);
    bench.settle();
    bench.hear(one);
    bench.holds_loads = true;
    bench.ask(one, (0..1024).map(|_| get("deep")));
    bench.settle();
    assert_eq!(bench.hear(one).len(), 1024, "two pages are in memory");
    // The next is not; what comes behind it on its session waits, and comes in order.
    bench.ask(one, [get("deep"), publish("other", body(77, 10)), get("other"), get("deep")]);
    bench.send(vec![session(one, 2, get("other"))]);
    bench.ask(two, [get("other"), publish("other", body(78, 10))]);
    bench.settle();
    assert_eq!((bench.hear(one), bench.hear(two)), (vec!["got m0".to_owned()], vec!["got m1".to_owned()]));
    assert!(bench.load());
    bench.settle();
    assert_eq!(bench.hear(one), ["got m1024", "got m2", "got m1025"]);
    bench.holds_loads = false;
    assert!(bench.drain_queue("other").ends_with(&["m78".to_owned(), "m77".to_owned()]));
}

#[test]
fn what_waits_behind_a_get_is_done_when_the_connection_ends() {
    let (mut bench, one) = deep();
    bench.holds_loads = true;
    bench.ask(one, (0..1025).map(|_| get("deep")).chain([publish("other", body(77, 10)), get("other")]));
    bench.send(vec![Command::Disconnect { connection: ConnectionId(one), lost: false }]);
    bench.settle();
    assert_eq!(bench.hear(one).last().map(String::as_str), Some("disconnected"));
    bench.holds_loads = false;
    assert_eq!(bench.drain_queue("other").last().map(String::as_str), Some("m77"));
    assert_eq!(bench.drain_queue("deep").len(), MESSAGES);
}

#[test]
fn a_connection_of_which_much_waits_gets_no_credit() {
    let (mut bench, one) = deep();
    bench.holds_loads = true;
    bench.ask(one, (0..1025).map(|_| get("deep")));
    bench.settle();
    assert!(bench.engine.publish_credit(ConnectionId(one)));
    bench.ask(one, (0..70).map(|number| publish("other", body(number, 10))));
    bench.settle();
    assert!(!bench.engine.publish_credit(ConnectionId(one)));
    assert!(bench.load());
    bench.settle();
    assert!(bench.engine.publish_credit(ConnectionId(one)));
    assert!(*bench.client(one).woken.lock().unwrap() > 0, "it is told so");
}

#[test]
fn a_cold_queue_is_purged_and_deleted_without_being_read() {
    let (mut bench, one) = deep();
    bench.holds_loads = true;
    bench.ask(one, [Operation::PurgeQueue { name: name("deep") }]);
    bench.settle();
    assert_eq!(bench.hear(one), [format!("QueuePurged {{ messages: {MESSAGES} }}")]);
    publish_all(&mut bench, one, MESSAGES);
    (0..20).for_each(|number| {
        bench.ask(one, [publish("other", body(number, 10))]);
        bench.settle();
    });
    bench.crash(0);
    let two = bench.connect();
    bench.ask(two, [Operation::DeleteQueue { name: name("deep"), if_unused: false, if_empty: false }]);
    bench.settle();
    assert_eq!(bench.hear(two), [format!("QueueDeleted {{ messages: {MESSAGES} }}")]);
    bench.crash(0);
    assert_eq!(bench.engine.counts().totals.messages_ready, 40);
}

/// The files are looked at when a job runs: a merge may have been faster.
#[test]
fn what_was_merged_meanwhile_is_looked_for_again() {
    let (mut bench, one) = deep();
    bench.holds_loads = true;
    bench.ask(one, (0..1025).map(|_| get("deep")));
    bench.settle();
    let job = bench.engine.take_load_job().unwrap();
    let runs = |bench: &Bench| {
        let files = bench.storage.list("checkpoints/vhost").unwrap();
        files.into_iter().filter(|file| file.starts_with("rows-")).collect::<Vec<_>>()
    };
    let before = runs(&bench);
    let mut number = 0;
    while runs(&bench).iter().any(|file| before.contains(file)) {
        bench.ask(one, [publish("other", body(number, 10))]);
        let two = bench.connect();
        bench.ask(two, [get("other"), ack(1, false)]);
        bench.settle();
        number += 1;
        assert!(number < 500, "{before:?}, and now {:?}", runs(&bench));
    }
    let done = job.run();
    bench.engine.load_done(bench.now, done);
    bench.holds_loads = false;
    bench.settle();
    assert_eq!(bench.engine.health(), Health::Serving);
    assert!(bench.hear(one).contains(&"got m1024".to_owned()));
}
