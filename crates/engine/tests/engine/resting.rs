//! A vhost that nobody uses takes nothing, and is there at once when somebody does.

use broker::{Operation, Timestamp};
use engine::Settings;

use crate::bench::{Bench, ack, body, consume, declare, publish, transient};

#[test]
fn a_boot_is_written_down_with_the_first_thing_that_is_asked_and_before_anything_is_told() {
    let mut bench = Bench::new();
    bench.settle();
    assert_eq!(bench.engine.counts().appended_lsn, 0);
    let one = bench.connect_at_once();
    assert_eq!(bench.hear(one), Vec::<String>::new(), "nobody knows yet that there is this boot");
    assert!(bench.step());
    assert_eq!(bench.hear(one).len(), 1);
}

#[test]
fn a_boot_that_nobody_used_counts_and_leaves_what_was_clean_clean() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true), publish("q", "m1")]);
    bench.settle();
    bench.restart();
    for boot in 2..5 {
        let found = bench.engine.recovery();
        assert_eq!((found.boot, found.clean, found.messages), (boot, true, 1));
        bench.settle();
        bench.crash(0);
    }
    let boot = bench.engine.recovery().boot;
    bench.restart();
    assert_eq!((bench.engine.recovery().boot, bench.engine.recovery().clean), (boot + 1, true));
    assert_eq!(bench.drain_queue("q"), ["m1"]);
}

#[test]
fn what_rests_gives_memory_back_and_delivers_as_before() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("kept", true), declare("fleeting", false)]);
    for number in 1..=30 {
        bench.ask(one, [publish("kept", body(number, 1000)), transient("fleeting", body(number, 1000))]);
    }
    bench.settle();
    let busy_bytes = bench.engine.counts().body_cache_bytes;
    bench.engine.rest();
    assert_eq!(bench.engine.counts().body_cache_bytes, busy_bytes, "it was used a moment ago");
    bench.engine.rest();
    let resting_bytes = bench.engine.counts().body_cache_bytes;
    assert!(
        (30_000..40_000).contains(&resting_bytes),
        "what is in no entry: {resting_bytes} of {busy_bytes}"
    );

    for queue in ["kept", "fleeting"] {
        let two = bench.connect();
        bench.ask(two, [consume(queue, false)]);
        bench.settle();
        let expected: Vec<String> = (1..=30).map(|number| format!("#{number} m{number}")).collect();
        assert_eq!(bench.hear(two)[1..], expected, "{queue}");
    }
}

#[test]
fn what_is_under_way_does_not_rest() {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true)]);
    bench.settle();
    bench.ask(one, [publish("q", body(1, 1000))]);
    let busy_bytes = bench.engine.counts().body_cache_bytes;
    (0..3).for_each(|_| bench.engine.rest());
    assert_eq!(bench.engine.counts().body_cache_bytes, busy_bytes);
    bench.settle();
    assert_eq!(bench.drain_queue("q"), ["m1"]);
}

#[test]
fn bodies_that_few_need_are_let_go_of_and_the_few_are_read_back() {
    let mut bench = Bench::with(Settings { body_cache_bytes: 4 << 20, ..Settings::default() });
    let one = bench.connect();
    bench.ask(one, [declare("q", true)]);
    for number in 1..=1000 {
        bench.ask(one, [publish("q", body(number, 1000))]);
        bench.settle();
    }
    let tick = |bench: &mut Bench| {
        bench.now = Timestamp(bench.now.0 + 1000);
        bench.engine.tick(bench.now);
        bench.engine.counts().body_cache_bytes
    };
    assert!(tick(&mut bench) > 1_000_000, "all of them wait");

    let two = bench.connect();
    bench.ask(two, [consume("q", false)]);
    bench.settle();
    bench.ask(two, [ack(899, true)]);
    bench.settle();
    assert_eq!(tick(&mut bench), 0, "one in ten waits");
    assert_eq!(bench.engine.next_deadline(), None, "there is nothing more to look for");
    bench.ask(two, [Operation::CloseSession]);
    bench.settle();
    let expected: Vec<String> = (900..=1000).map(|number| format!("m{number} again")).collect();
    assert_eq!(bench.drain_queue("q"), expected);
}
