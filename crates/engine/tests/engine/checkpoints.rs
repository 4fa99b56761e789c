//! Checkpoints bound recovery and free the journal.

use broker::{Command, ConnectionId};
use engine::Health;
use journal::MemoryJournal;
use journal::storage::Storage;

use crate::bench::{Bench, ack, body, consume, declare, get, publish};

/// Publishes `count` messages, each in an entry of its own.
fn publish_all(bench: &mut Bench, connection: u64, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        bench.ask(connection, [publish("q", body(number, 100))]);
        bench.settle();
    }
}

fn started() -> (Bench, u64) {
    let mut bench = Bench::new();
    let one = bench.connect();
    bench.ask(one, [declare("q", true)]);
    bench.settle();
    (bench, one)
}

fn names(numbers: impl IntoIterator<Item = usize>, again: &str) -> Vec<String> {
    numbers.into_iter().map(|number| format!("m{number}{again}")).collect()
}

#[test]
fn a_full_segment_brings_a_checkpoint_and_a_restart_begins_there() {
    let (mut bench, one) = started();
    publish_all(&mut bench, one, 1..=20);
    assert!(bench.engine.counts().checkpoints >= 2);
    bench.crash(0);
    let recovery = *bench.engine.recovery();
    assert!(recovery.checkpoint_lsn >= 16, "{recovery:?}");
    assert!(recovery.entries_replayed <= MemoryJournal::SEGMENT_ENTRIES, "{recovery:?}");
    assert_eq!((recovery.messages, recovery.clean), (20, false));
    assert_eq!(bench.drain_queue("q"), names(1..=20, " again"));
}

#[test]
fn the_journal_behind_two_checkpoints_is_freed_but_for_living_bodies() {
    let (mut bench, one) = started();
    publish_all(&mut bench, one, 1..=4);
    bench.ask(one, [consume("q", false)]);
    bench.settle();
    for number in 5..=80 {
        bench.ask(one, [publish("q", body(number, 10_000))]);
        bench.settle();
        // Only the third message is never acknowledged.
        bench.ask(
            one,
            if number == 5 {
                vec![ack(1, false), ack(2, false), ack(4, false), ack(5, false)]
            } else {
                vec![ack(number as u64, false)]
            },
        );
        bench.settle();
    }
    assert!(bench.engine.counts().journal_bytes < 400_000, "{:?}", bench.engine.counts());
    bench.crash(0);
    assert_eq!(bench.drain_queue("q"), ["m3 again"]);
}

#[test]
fn a_damaged_newest_manifest_costs_a_longer_replay_and_nothing_else() {
    for file in ["manifest-", "rows-"] {
        let (mut bench, one) = started();
        publish_all(&mut bench, one, 1..=12);
        bench.ask(one, [get("q"), ack(1, false)]);
        publish_all(&mut bench, one, 13..=30);
        bench.crash(0);
        let newest = bench.engine.recovery().checkpoint_lsn;
        let folder = "checkpoints/vhost";
        let files = bench.storage.list(folder).unwrap();
        let path = files.iter().rev().find(|name| name.starts_with(file)).unwrap();
        let damaged = bench.storage.open(&format!("{folder}/{path}")).unwrap();
        damaged.write_all_at(&mut [std::io::IoSlice::new(b"?")], 30).unwrap();
        bench.crash(0);
        let recovery = *bench.engine.recovery();
        assert!(recovery.checkpoint_lsn > 0 && recovery.checkpoint_lsn < newest, "{recovery:?}");
        assert_eq!(bench.drain_queue("q"), names(2..=30, " again"), "{file}");
    }
}

#[test]
fn a_clean_end_knows_what_was_delivered() {
    let (mut bench, one) = started();
    publish_all(&mut bench, one, 1..=4);
    bench.ask(one, [get("q"), get("q")]);
    bench.restart();
    assert!(bench.engine.recovery().clean);
    assert_eq!(bench.engine.recovery().entries_replayed, 0);
    // A boot that does nothing but end in peace again changes nothing.
    bench.restart();
    assert_eq!(bench.drain_queue("q"), ["m1 again", "m2 again", "m3", "m4"]);
}

#[test]
fn a_crash_right_after_a_clean_start_hides_no_delivery() {
    let (mut bench, one) = started();
    publish_all(&mut bench, one, 1..=1);
    bench.restart();
    let two = bench.connect_at_once();
    bench.ask(two, [get("q")]);
    // Were the message handed out now, a crash would leave a log whose last boot ended in peace.
    assert!(bench.hear(two).is_empty());
    bench.settle();
    assert_eq!(bench.hear(two), ["SessionOpened", "got m1"]);
    bench.crash(0);
    assert_eq!(bench.drain_queue("q"), ["m1 again"]);
}

#[test]
fn an_unclean_end_marks_all_that_was_there() {
    let (mut bench, one) = started();
    publish_all(&mut bench, one, 1..=2);
    bench.restart();
    let two = bench.connect();
    publish_all(&mut bench, two, 3..=3);
    bench.crash(0);
    let three = bench.connect();
    publish_all(&mut bench, three, 4..=4);
    assert_eq!(bench.drain_queue("q"), ["m1 again", "m2 again", "m3 again", "m4"]);
}

#[test]
fn the_body_of_a_no_ack_delivery_on_its_way_keeps_its_segment() {
    let settings = engine::Settings { body_cache_bytes: 4096, ..Default::default() };
    let mut bench = Bench::with(settings);
    let (one, two) = (bench.connect(), bench.connect());
    bench.ask(one, [declare("q", true), declare("other", true), consume("other", true)]);
    bench.settle();
    publish_all(&mut bench, one, 1..=3);
    for number in 0..20 {
        bench.ask(one, [publish("other", body(number, 1000))]);
        bench.settle();
    }
    // Settled by their deliveries, which wait for bodies that the journal does not hand out yet.
    bench.ask(two, [consume("q", true)]);
    assert!(bench.journal.pending_reads() > 0);
    for number in 0..60 {
        bench.ask(one, [publish("other", body(number, 1000))]);
        bench.now.0 += 10;
        bench.engine.tick(bench.now);
        while bench.step() {
            bench.checkpoint();
        }
    }
    assert!(bench.engine.counts().checkpoints > 4);
    assert!(bench.engine.counts().journal_bytes < 40_000, "the rest of the journal is freed");
    bench.settle();
    assert_eq!(bench.hear(two)[1..], ["#1 m1", "#2 m2", "#3 m3"]);
}

#[test]
fn a_checkpoint_that_cannot_be_written_harms_nothing() {
    let (mut bench, one) = started();
    bench.storage.set_capacity(10);
    publish_all(&mut bench, one, 1..=20);
    assert_eq!(bench.engine.counts().checkpoints, 0);
    bench.storage.set_capacity(1 << 30);
    publish_all(&mut bench, one, 21..=40);
    assert!(bench.engine.counts().checkpoints > 0);
    bench.crash(0);
    assert_eq!(bench.drain_queue("q"), names(1..=40, " again"));
}

#[test]
fn a_read_for_a_client_that_is_gone_keeps_its_segment() {
    let settings = engine::Settings { body_cache_bytes: 4096, ..Default::default() };
    let mut bench = Bench::with(settings);
    let (one, two) = (bench.connect(), bench.connect());
    bench.ask(one, [declare("q", true), declare("other", true), consume("other", true)]);
    bench.settle();
    publish_all(&mut bench, one, 1..=3);
    let other = |bench: &mut Bench, number| {
        bench.ask(one, [publish("other", body(number, 1000))]);
        bench.now.0 += 10;
        bench.engine.tick(bench.now);
        while bench.step() {
            bench.checkpoint();
        }
    };
    (0..20).for_each(|number| other(&mut bench, number));
    bench.settle();
    bench.ask(two, [consume("q", true)]);
    assert!(bench.journal.pending_reads() > 0);
    bench.send(vec![Command::Disconnect { connection: ConnectionId(two), lost: true }]);
    (0..60).for_each(|number| other(&mut bench, number));
    assert!(bench.engine.counts().checkpoints > 4);
    bench.settle();
    assert_eq!(bench.engine.health(), Health::Serving);
}

#[test]
fn no_two_boots_have_the_same_number() {
    let (mut bench, _) = started();
    let mut boots = vec![bench.engine.recovery().boot];
    for _ in 0..3 {
        // Too soon for a checkpoint that would tell, and perhaps for any entry.
        bench.crash(0);
        boots.push(bench.engine.recovery().boot);
    }
    bench.restart();
    boots.push(bench.engine.recovery().boot);
    assert_eq!(boots, [1, 2, 3, 4, 5]);
}

#[test]
fn a_crash_in_the_last_checkpoint_leaves_the_one_before_whole() {
    // Cut short in the closing of one boot, and at the same step in the closing of the next.
    for (operations, seed) in (0..20).flat_map(|operations| (0..8).map(move |seed| (operations, seed))) {
        let (mut bench, one) = started();
        publish_all(&mut bench, one, 1..=30);
        let mut published = 30;
        for _ in 0..2 {
            let connection = bench.connect();
            let before = bench.engine.counts().checkpoints;
            // Nothing comes behind the last checkpoint, so that the closing one has its position.
            while bench.engine.counts().checkpoints < before + 1 {
                published += 1;
                publish_all(&mut bench, connection, published..=published);
            }
            bench.engine.drain(bench.now);
            assert!(bench.engine.is_drained());
            bench.storage.cut_power_after(operations);
            let _ = bench.engine.close(bench.now);
            bench.storage.crash(seed);
            bench.reopen().unwrap();
            assert!(bench.engine.recovery().checkpoint_lsn > 0, "{operations} {seed}");
        }
        assert_eq!(bench.drain_queue("q").len(), published, "{operations} {seed}");
    }
}
