//! Bodies that do not fit into memory come back in order.

use broker::{Command, ConnectionId, Operation};
use engine::Settings;

use crate::bench::{Bench, ack, body, consume, declare, publish, transient};

fn tiny() -> Settings {
    Settings { body_cache_bytes: 4096, ..Settings::default() }
}

fn expected(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.zip(1..).map(|(number, tag)| format!("#{tag} m{number}")).collect()
}

/// Fills a queue far beyond the cache.
fn filled(settings: Settings, message: fn(&str, Vec<u8>) -> Operation) -> Bench {
    let mut bench = Bench::with(settings);
    let one = bench.connect();
    bench.ask(one, [declare("q", true)]);
    for number in 1..=60 {
        bench.ask(one, [message("q", body(number, 1000))]);
    }
    bench.settle();
    assert!(bench.engine.counts().body_cache_bytes < 8192 || bench.engine.counts().segments_sealed == 0);
    bench
}

#[test]
fn persistent_bodies_are_read_back_in_order() {
    let mut bench = filled(tiny(), publish);
    let two = bench.connect();
    bench.ask(two, [consume("q", false)]);
    bench.settle();
    assert_eq!(bench.hear(two)[1..], expected(1..=60));
    assert!(bench.engine.counts().body_cache_bytes < 2 * 4096 + 60_000);
}

#[test]
fn reads_that_come_back_in_another_order_change_nothing() {
    let mut bench = filled(tiny(), publish);
    let (two, three) = (bench.connect(), bench.connect());
    bench.ask(three, [declare("r", true)]);
    for number in 1..=30 {
        bench.ask(three, [publish("r", body(number, 1000))]);
    }
    bench.settle();
    bench.hear(three);
    bench.ask(two, [consume("q", false)]);
    bench.ask(three, [consume("r", false)]);
    let mut turn = 0;
    while bench.journal.pending_reads() > 0 || bench.journal.step() {
        let pending = bench.journal.pending_reads();
        turn += 7;
        bench.journal.step_read(if pending == 0 { 0 } else { turn % pending });
        if turn % 2 == 0 {
            bench.engine.pump(bench.now);
        }
        if bench.journal.pending_reads() == 0 {
            bench.engine.pump(bench.now);
        }
    }
    bench.settle();
    let (two, three) = (bench.hear(two), bench.hear(three));
    assert_eq!(two[1..], expected(1..=60));
    assert_eq!(three[1..], expected(1..=30));
}

#[test]
fn transient_bodies_are_spilled_and_come_back() {
    // Large enough that each has a block of its own: an open block is never spilled.
    let mut bench = Bench::with(tiny());
    let one = bench.connect();
    bench.ask(one, [declare("memory", false)]);
    for number in 1..=6 {
        bench.ask(one, [transient("memory", body(number, 200_000))]);
        if number == 4 {
            bench.ask(one, [consume("memory", false)]);
        }
    }
    bench.settle();
    let heard = bench.hear(one);
    assert_eq!(heard[2..], expected(1..=6));
    assert!(bench.engine.counts().appended_lsn > 2, "something was spilled");
    bench.ask(one, [ack(0, true)]);
    bench.settle();
    assert!(bench.engine.counts().body_cache_bytes < 1_300_000);
    bench.restart();
    let two = bench.connect();
    bench.ask(two, [declare("memory", false)]);
    bench.settle();
    assert_eq!(bench.hear(two), ["declared 0"]);
}

#[test]
fn transient_messages_of_a_durable_queue_are_gone_after_a_restart() {
    let mut bench = Bench::with(tiny());
    let one = bench.connect();
    bench.ask(one, [declare("q", true), transient("q", body(1, 300_000)), publish("q", "m2")]);
    bench.ask(one, [transient("q", body(3, 300_000)), publish("q", "m4")]);
    bench.restart();
    assert_eq!(bench.drain_queue("q"), ["m2", "m4"]);
}

#[test]
fn a_client_that_goes_while_bodies_are_read_leaves_nothing_behind() {
    let mut bench = Bench::with(tiny());
    let one = bench.connect();
    bench.ask(one, [declare("memory", false)]);
    for number in 1..=6 {
        bench.ask(one, [transient("memory", body(number, 200_000))]);
    }
    bench.settle();
    let two = bench.connect();
    bench.ask(two, [consume("memory", true)]);
    assert!(bench.journal.pending_reads() > 0);
    bench.send(vec![Command::Disconnect { connection: ConnectionId(two), lost: true }]);
    bench.settle();
    assert_eq!(bench.hear(two).last().unwrap(), "disconnected");
    // No-ack deliveries are settled: nothing needs the spilled blocks, and the journal's segments can go.
    bench.ask(one, [declare("q", true), consume("q", true)]);
    for number in 0..40 {
        bench.ask(one, [publish("q", body(number, 10))]);
        bench.settle();
    }
    let bytes = bench.engine.counts().journal_bytes;
    assert!(bytes < 10_000, "{bytes} bytes of journal, and no living message");
}

#[test]
fn a_journal_full_of_spilled_bodies_is_trimmed() {
    let mut bench = Bench::with(tiny());
    let one = bench.connect();
    bench.ask(one, [declare("memory", false)]);
    // A backlog comes and goes, again and again, and nothing durable ever changes.
    for _ in 0..30 {
        for number in 1..=6 {
            bench.ask(one, [transient("memory", body(number, 200_000))]);
            bench.settle();
        }
        let found = bench.drain_queue("memory");
        assert_eq!((found.len(), found[5].as_str()), (6, "m6"));
        bench.ask(one, [Operation::PurgeQueue { name: crate::bench::name("memory") }]);
        bench.settle();
    }
    assert!(bench.engine.counts().journal_bytes < 10_000_000, "{:?}", bench.engine.counts());
}

#[test]
fn what_has_just_been_spilled_is_not_read_before_it_is_durable() {
    let mut bench = Bench::with(tiny());
    let (one, two) = (bench.connect(), bench.connect());
    bench.ask(
        two,
        [
            declare("memory", false),
            Operation::SetPrefetch { count: 1, shared: false },
            consume("memory", false),
        ],
    );
    bench.settle();
    for number in 1..=6 {
        bench.ask(one, [transient("memory", body(number, 200_000))]);
    }
    assert_eq!(bench.hear(two).last().unwrap(), "#1 m1");
    bench.ask(two, [ack(1, false)]);
    assert_eq!((bench.hear(two).len(), bench.journal.pending_reads()), (0, 0));
    bench.now.0 += 10;
    bench.engine.tick(bench.now);
    assert_eq!(bench.journal.pending_reads(), 0, "written and not yet durable");
    bench.step();
    assert_eq!(bench.journal.pending_reads(), 1);
    for tag in 2..=6 {
        bench.settle();
        assert_eq!(bench.hear(two), [format!("#{tag} m{tag}")]);
        bench.ask(two, [ack(tag, false)]);
    }
}
