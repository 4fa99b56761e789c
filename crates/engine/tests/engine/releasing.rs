//! Effects leave when what they rest on is durable, and in order.

use broker::{Command, ConnectionId, Envelope, Operation, Timestamp};
use engine::{Health, Settings};
use field_table::Value;
use journal::Lsn;

use crate::bench::{Bench, ack, body, consume, declare, get, log, name, publish, transient};

const NOTHING: &[&str] = &[];

#[test]
fn answers_and_confirms_wait_for_their_entry() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true)]);
    assert_eq!(bench.hear(one), NOTHING);
    assert!(bench.step());
    assert_eq!(bench.hear(one), ["declared 0"]);
    // The selection rests on nothing that is still to be written.
    bench.ask(one, [Operation::SelectConfirm, publish("q", "m"), publish("q", "n")]);
    assert_eq!(bench.hear(one), ["ConfirmSelected"]);
    assert!(bench.step());
    assert_eq!(bench.hear(one), ["confirmed 2"]);
}

#[test]
fn a_delivery_waits_for_its_publish_and_transient_traffic_for_nothing() {
    let mut bench = Bench::new();
    let (one, two) = (bench.connect(), bench.connect());
    bench.ask(two, [declare("q", true), declare("memory", false), consume("q", true)]);
    bench.settle();
    bench.hear(two);
    bench.ask(one, [transient("q", "t"), publish("q", "p"), transient("q", "u")]);
    // The second transient message keeps its place behind the persistent one.
    assert_eq!(bench.hear(two), ["#1 t"]);
    bench.step();
    assert_eq!(bench.hear(two), ["#2 p", "#3 u"]);
}

#[test]
fn nothing_overtakes_an_earlier_effect_of_its_session() {
    let mut bench = Bench::new();
    let (one, two) = (bench.connect(), bench.connect());
    bench.ask(one, [declare("q", true), Operation::SelectConfirm]);
    bench.settle();
    bench.hear(one);
    // An unroutable publish is safe at once, and an empty queue answers at once: but not before the first publish.
    bench.ask(two, [declare("empty", false)]);
    bench.hear(two);
    bench.ask(one, [publish("q", "p"), publish("nowhere", "u"), get("empty")]);
    bench.ask(two, [transient("q", "t"), get("q")]);
    assert_eq!((bench.hear(one), bench.hear(two)), (vec![], vec![]));
    bench.step();
    assert_eq!(bench.hear(one), ["confirmed 2", "GetEmpty"]);
    assert_eq!(bench.hear(two), ["got p"]);
}

#[test]
fn while_one_entry_syncs_the_next_fills() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true), Operation::SelectConfirm]);
    bench.settle();
    bench.hear(one);
    let before = bench.engine.counts().appended_lsn;
    for number in 1..=10 {
        bench.ask(one, [publish("q", body(number, 10))]);
    }
    assert_eq!(bench.engine.counts().appended_lsn, before + 1);
    bench.step();
    assert_eq!(
        (bench.hear(one), bench.engine.counts().appended_lsn),
        (vec!["confirmed 1".to_owned()], before + 2)
    );
    bench.step();
    assert_eq!(bench.hear(one), ["confirmed 10"]);
}

#[test]
fn what_nobody_waits_for_is_written_when_the_deadline_comes() {
    let mut bench = Bench::with(Settings { idle_flush_ms: 5, ..Settings::default() });
    let one = bench.connect();
    bench.ask(one, [declare("q", true), publish("q", "m"), get("q")]);
    bench.settle();
    assert_eq!(bench.engine.next_deadline(), None);
    let appended = bench.engine.counts().appended_lsn;
    bench.ask(one, [ack(1, false)]);
    let due = Timestamp(bench.now.0 + 5);
    assert_eq!(bench.engine.next_deadline(), Some(due));
    bench.engine.tick(Timestamp(due.0 - 1));
    assert_eq!(bench.engine.counts().appended_lsn, appended);
    bench.engine.tick(due);
    assert_eq!((bench.engine.counts().appended_lsn, bench.engine.next_deadline()), (appended + 1, None));
}

#[test]
fn acks_go_with_the_next_entry_without_a_sync_of_their_own() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true), publish("q", "m"), get("q"), Operation::SelectConfirm]);
    bench.settle();
    let appended = bench.engine.counts().appended_lsn;
    bench.ask(one, [ack(1, false)]);
    bench.ask(one, [publish("q", "n")]);
    assert_eq!(bench.engine.counts().appended_lsn, appended + 1);
    bench.settle();
    assert_eq!(bench.engine.counts().appended_lsn, appended + 1);
}

#[test]
fn a_batch_of_large_messages_becomes_several_entries() {
    let mut bench = Bench::with(Settings { entry_bytes_target: 1000, ..Settings::default() });
    let one = bench.connect();
    bench.ask(one, [declare("q", true), Operation::SelectConfirm]);
    bench.settle();
    bench.hear(one);
    let appended = bench.engine.counts().appended_lsn;
    bench.ask(one, (1..=10).map(|number| publish("q", body(number, 900))));
    assert_eq!(bench.engine.counts().appended_lsn, appended + 5);
    bench.step();
    assert_eq!(bench.hear(one), ["confirmed 2"]);
    bench.settle();
    assert_eq!(bench.hear(one).last().unwrap(), "confirmed 10");
}

#[test]
fn a_publisher_without_credit_is_woken_when_the_journal_has_caught_up() {
    let mut bench = Bench::with(Settings { publish_window_bytes: 1000, ..Settings::default() });
    let (one, two) = (bench.connect(), bench.connect());
    bench.ask(one, [declare("q", true)]);
    bench.settle();
    bench.ask(one, [publish("q", body(1, 300))]);
    assert!(bench.engine.publish_credit(ConnectionId(one)));
    bench.ask(one, [publish("q", body(2, 900)), publish("q", body(3, 300))]);
    assert!(!bench.engine.publish_credit(ConnectionId(one)));
    assert!(bench.engine.publish_credit(ConnectionId(two)), "the culprit waits, nobody else");
    assert_eq!(*bench.client(one).woken.lock().unwrap(), 0);
    bench.settle();
    assert_eq!(*bench.client(one).woken.lock().unwrap(), 1);
    assert!(bench.engine.publish_credit(ConnectionId(one)));
}

#[test]
fn when_the_journal_is_overloaded_all_who_publish_wait() {
    let mut bench = Bench::with(Settings { journal_window_bytes: 1000, ..Settings::default() });
    let (one, two, three) = (bench.connect(), bench.connect(), bench.connect());
    bench.ask(one, [declare("q", true)]);
    bench.settle();
    bench.ask(one, [publish("q", body(1, 900))]);
    bench.ask(two, [publish("q", body(1, 200))]);
    let credit = [one, two, three].map(|id| bench.engine.publish_credit(ConnectionId(id)));
    assert_eq!(credit, [false, false, true]);
    bench.settle();
    assert_eq!([one, two, three].map(|id| *bench.client(id).woken.lock().unwrap()), [1, 1, 0]);
}

#[test]
fn a_lost_journal_ends_all_and_releases_nothing() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true), Operation::SelectConfirm]);
    bench.settle();
    bench.hear(one);
    let next = bench.engine.counts().appended_lsn + 1;
    bench.journal.lose_at(&log(), Lsn(next));
    bench.ask(one, [publish("q", "m")]);
    bench.settle();
    bench.ask(one, [publish("q", "n"), transient("q", "o"), get("q")]);
    bench.settle();
    assert_eq!(bench.hear(one), NOTHING);
    assert!(matches!(bench.engine.health(), Health::Failed { .. }));
    assert!(bench.engine.is_drained(), "there is nothing to wait for");
    bench.send(vec![Command::Disconnect { connection: ConnectionId(one), lost: true }]);
    assert_eq!(bench.hear(one), ["disconnected"]);
}

#[test]
fn nothing_is_due_in_an_engine_that_has_failed() {
    let mut bench = Bench::new();
    let one = bench.connect();
    let Operation::DeclareQueue(mut jobs) = declare("jobs", true) else { unreachable!() };
    jobs.arguments.insert(name("x-task-queue"), Value::Bool(true));
    let Operation::Publish(mut task) = publish("jobs", "m") else { unreachable!() };
    // Property `expiration`: 30 days.
    task.envelope = Envelope::new(b"", b"jobs", b"\x01\x00\x0a2592000000", b"m");
    bench.ask(one, [Operation::DeclareQueue(jobs), Operation::Publish(task)]);
    bench.step();
    assert!(bench.engine.next_deadline().is_some());
    let next = bench.engine.counts().appended_lsn + 1;
    bench.journal.lose_at(&log(), Lsn(next));
    bench.ask(one, [declare("other", true)]);
    bench.step();
    assert!(matches!(bench.engine.health(), Health::Failed { .. }));
    assert_eq!(bench.engine.next_deadline(), None, "a tick would change nothing, and be asked for again");
}

#[test]
fn a_deposed_engine_says_so_and_confirms_nothing() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true), Operation::SelectConfirm]);
    bench.settle();
    bench.hear(one);
    bench.ask(one, [publish("q", "m")]);
    let other = journal::Journal::claim(&bench.journal, &log(), journal::Epoch(9), None).unwrap();
    bench.settle();
    assert_eq!(bench.hear(one), NOTHING);
    let Health::Failed { reason } = bench.engine.health() else { panic!("deposed and yet serving") };
    assert!(reason.contains("epoch 9"), "{reason}");
    drop(other);
}
