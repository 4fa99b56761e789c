//! Something of a queue cannot be read: it is halted, and all others go on.

use broker::{Command, ConnectionId, Operation, Refusal, RequestTag, SessionId};
use engine::{Health, Settings};
use journal::storage::Storage;

use crate::bench::{Bench, ack, body, consume, declare, get, log, name, publish};

const FOLDER: &str = "checkpoints/vhost";

/// An engine that keeps little in memory, with a queue of some pages, and others that have filled segments.
fn deep() -> (Bench, u64) {
    deep_with(Settings::default())
}

fn deep_with(settings: Settings) -> (Bench, u64) {
    let mut bench = Bench::with(Settings { state_bytes: 1, body_cache_bytes: 1 << 20, ..settings });
    let one = bench.connect();
    bench.ask(one, [declare("deep", true), declare("other", true)]);
    for first in (0..2100).step_by(100) {
        bench.ask(one, (first..first + 100).map(|number| publish("deep", body(number, 10))));
        bench.settle();
    }
    fill_segments(&mut bench, one);
    bench.hear(one);
    (bench, one)
}

/// The same, with the entry of the queue's first messages damaged, and so much behind it that the cache has let it go.
fn with_damaged_body(settings: Settings) -> Bench {
    let (mut bench, one) = deep_with(settings);
    bench.ask(one, (0..4).map(|number| publish("other", body(number, 400_000))));
    bench.settle();
    let first_entry = bench.first_entry();
    bench.journal.corrupt(&log(), first_entry);
    bench
}

fn fill_segments(bench: &mut Bench, connection: u64) {
    (0..20).for_each(|number| {
        bench.ask(connection, [publish("other", body(number, 10))]);
        bench.settle();
    });
}

/// Damages the rows of the page that begins with this sequence, wherever a run has one.
fn damage_page(bench: &Bench, first: u64) {
    let mut key = b"P".to_vec();
    key.extend(1u64.to_be_bytes());
    key.push(0);
    key.extend(first.to_be_bytes());
    let mut found = 0;
    for file in bench.storage.list(FOLDER).unwrap().iter().filter(|file| file.starts_with("rows-")) {
        let file = bench.storage.open(&format!("{FOLDER}/{file}")).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        // In the block; the index behind it names the row again.
        if let Some(at) = bytes.windows(key.len()).position(|window| window == key) {
            let flipped = [!bytes[at + key.len() + 20]];
            file.write_all_at(&mut [std::io::IoSlice::new(&flipped)], (at + key.len() + 20) as u64).unwrap();
            found += 1;
        }
    }
    assert!(found > 0);
}

fn refusal(bench: &mut Bench, connection: u64, operation: Operation) -> Refusal {
    bench.hear(connection);
    bench.ask(connection, [operation]);
    bench.settle();
    let refused = bench.refusals(connection);
    assert_eq!(refused.len(), 1, "{refused:?}");
    refused.into_iter().next().unwrap()
}

/// Nobody gets anything of the queue, and is told why; all else is as ever.
fn assert_halted(bench: &mut Bench, reason: &str) {
    let halted: Vec<(String, String)> =
        bench.engine.halted_queues().map(|(name, why)| (name.to_string(), why.to_owned())).collect();
    assert_eq!(halted.len(), 1);
    assert!(halted[0].0 == "deep" && halted[0].1.contains(reason), "{halted:?}");
    assert_eq!((bench.engine.health(), bench.engine.counts().totals.queues_halted), (Health::Serving, 1));
    for operation in [get("deep"), consume("deep", true)] {
        let one = bench.connect();
        let refused = refusal(bench, one, operation);
        assert_eq!(refused, Refusal::QueueHalted { queue: name("deep"), reason: halted[0].1.clone() });
    }
    let two = bench.connect();
    bench.ask(two, [Operation::SelectConfirm, publish("deep", body(9999, 10)), get("other")]);
    bench.settle();
    let heard = bench.hear(two);
    assert_eq!(
        heard.iter().filter(|told| *told == "confirmed 1" || told.starts_with("got m")).count(),
        2,
        "{heard:?}"
    );
}

/// What comes after a purge is served, also by the next boot.
fn assert_serves_after_purge(bench: &mut Bench) {
    let one = bench.connect();
    bench.ask(one, [Operation::PurgeQueue { name: name("deep") }, publish("deep", body(7777, 10))]);
    bench.settle();
    assert_eq!(bench.engine.halted_queues().count(), 0);
    assert_eq!(bench.drain_queue("deep"), ["m7777"]);
    fill_segments(bench, one);
    bench.crash(0);
    assert_eq!(bench.engine.halted_queues().count(), 0);
    assert_eq!(bench.drain_queue("deep"), ["m7777 again"]);
}

#[test]
fn a_page_that_cannot_be_loaded_halts_its_queue() {
    let (mut bench, one) = deep();
    damage_page(&bench, 1024);
    bench.ask(one, [consume("deep", true)]);
    bench.settle();
    let delivered = bench.hear(one).into_iter().filter(|told| told.starts_with('#')).count();
    assert_eq!(delivered, 1024, "what lies in front of it is whole");
    assert_halted(&mut bench, "checkpoints/vhost/rows-");
    bench.send(vec![Command::Disconnect { connection: ConnectionId(one), lost: false }]);
    assert_serves_after_purge(&mut bench);
}

#[test]
fn a_get_that_waits_for_such_a_page_is_refused() {
    let (mut bench, one) = deep();
    damage_page(&bench, 1024);
    bench.ask(one, (0..1024).map(|_| get("deep")));
    bench.settle();
    assert!(matches!(refusal(&mut bench, one, get("deep")), Refusal::QueueHalted { .. }));
    // The others are back, and still nobody gets them.
    assert_eq!(bench.engine.counts().totals.messages_unacked, 0);
    assert_halted(&mut bench, "checkpoints/vhost/rows-");
}

#[test]
fn a_start_halts_the_queue_of_a_damaged_page_and_serves_the_others() {
    for first in [512, 1536] {
        let (mut bench, _) = deep();
        damage_page(&bench, first);
        bench.crash(0);
        assert_halted(&mut bench, "checkpoints/vhost/rows-");
        // The next boot finds it so again, with all that has come since.
        bench.restart();
        assert_halted(&mut bench, "checkpoints/vhost/rows-");
        assert_serves_after_purge(&mut bench);
    }
}

#[test]
fn a_body_that_cannot_be_read_ends_the_session_and_halts_the_queue() {
    let mut bench = with_damaged_body(Settings::default());
    let (two, three) = (bench.connect(), bench.connect());
    bench.ask(three, [get("other")]);
    bench.ask(two, [Operation::SetPrefetch { count: 5, shared: false }, consume("deep", false)]);
    bench.settle();
    let refused = bench.refusals(two);
    assert!(matches!(&refused[..], [Refusal::QueueHalted { .. }]), "{refused:?}");
    assert_eq!(bench.engine.counts().totals.messages_unacked, 1, "of the other queue");
    assert_halted(&mut bench, "a message cannot be read");
    bench.ask(three, [ack(1, false)]);
    bench.settle();
    // The damage is where it was: the next boot finds it when the message's turn comes.
    bench.crash(0);
    let four = bench.connect();
    assert!(matches!(refusal(&mut bench, four, get("deep")), Refusal::QueueHalted { .. }));
    assert_serves_after_purge(&mut bench);
}

#[test]
fn what_nobody_has_to_acknowledge_is_lost_with_its_body_and_halts_nothing() {
    let mut bench = with_damaged_body(Settings::default());
    let two = bench.connect();
    let refused = refusal(&mut bench, two, Operation::Get { queue: name("deep"), no_ack: true });
    assert!(matches!(refused, Refusal::MessageLost { .. }), "{refused:?}");
    assert_eq!(bench.engine.halted_queues().count(), 0);
    bench.send(vec![Command::Tick]);
    assert_eq!(bench.engine.health(), Health::Serving);
}

/// Whoever shares a connection with it has the window back that its deliveries had taken.
#[test]
fn deliveries_that_cannot_come_leave_the_window_to_others() {
    let mut bench = with_damaged_body(Settings { delivery_window_bytes: 2000, ..Settings::default() });
    let two = bench.connect();
    let second = SessionId { connection: ConnectionId(two), channel: 2 };
    let on_second = |operation| Command::Session { session: second, request: RequestTag(1), operation };
    bench.send(vec![on_second(Operation::OpenSession)]);
    bench.ask(two, [consume("deep", false)]);
    bench.settle();
    assert!(matches!(&bench.refusals(two)[..], [Refusal::QueueHalted { .. }]));
    bench.send(vec![on_second(consume("other", true))]);
    bench.settle();
    assert!(bench.hear(two).iter().any(|told| told.starts_with('#')), "it is served");
}

#[test]
fn a_session_that_has_ended_meanwhile_halts_nothing() {
    let mut bench = with_damaged_body(Settings::default());
    let two = bench.connect();
    bench.ask(two, [consume("deep", false), Operation::CloseSession]);
    bench.settle();
    assert_eq!((bench.engine.health(), bench.engine.halted_queues().count()), (Health::Serving, 0));
    assert!(bench.hear(two).contains(&"SessionClosed".to_owned()));
}
