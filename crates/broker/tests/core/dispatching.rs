//! Who gets which message, and when nobody does.

use broker::Settings;

use crate::world::World;

fn published(world: &mut World, count: usize) {
    for number in 1..=count {
        world.on(9).publish("q", &format!("m{number}"));
    }
}

fn lines(tag: &str, pairs: &[(u64, u64)]) -> Vec<String> {
    pairs.iter().map(|(tag_number, message)| format!("{tag}#{tag_number} m{message}")).collect()
}

#[test]
fn a_consumer_is_started_before_its_first_delivery() {
    let mut world = World::new();
    world.on(1).declare("q").deaf();
    published(&mut world, 2);
    world.on(1).consume("q", "t").hears(&["started t", "t#1 m1", "t#2 m2"]);
    published(&mut world, 1);
    world.on(1).hears(&["t#3 m1"]);
}

#[test]
fn consumers_take_turns() {
    let mut world = World::new();
    world.on(1).declare("q").consume("q", "a").deaf();
    world.on(2).consume("q", "b").deaf();
    world.at(1, 2).consume("q", "c").deaf();
    published(&mut world, 5);
    world.on(1).hears(&lines("a", &[(1, 1), (2, 4)]));
    world.on(2).hears(&lines("b", &[(1, 2), (2, 5)]));
    world.at(1, 2).hears(&lines("c", &[(1, 3)]));
}

#[test]
fn prefetch_counts_each_consumer_that_comes_later() {
    let mut world = World::new();
    world.on(1).declare("q").consume("q", "free").prefetch(2).deaf();
    published(&mut world, 1);
    world.on(1).hears(&["free#1 m1"]).cancel("free").consume("q", "two").deaf();
    published(&mut world, 4);
    world.on(1).hears(&lines("two", &[(2, 1), (3, 2)]));
    // A new value is for later consumers; the ack of the free one's delivery gives `two` nothing.
    world.on(1).prefetch(0).ack(1).hears(&["PrefetchSet"]);
    world.on(1).ack(3).hears(&lines("two", &[(4, 3)]));
    // Taking by hand counts for nobody.
    world.on(1).get("q").hears(&["got#5 m4, 0 left"]).ack(5).hears::<&str>(&[]);
}

#[test]
fn no_ack_consumers_ignore_prefetch() {
    let mut world = World::new();
    world.on(1).declare("q").prefetch(1).shared_prefetch(1).consume_no_ack("q", "t").deaf();
    published(&mut world, 3);
    world.on(1).hears(&lines("t", &[(1, 1), (2, 2), (3, 3)]));
    assert_eq!(world.broker.totals().messages_unacked, 0);
    assert_eq!(world.check_replay().queues[0].messages, []);
}

#[test]
fn a_shared_limit_is_live_and_its_consumers_take_turns() {
    let mut world = World::new();
    world.on(1).declare("q").declare("r").shared_prefetch(2).consume("q", "a").consume("r", "b").deaf();
    for _ in 0..3 {
        world.on(9).publish("q", "m1").publish("r", "m2");
    }
    world.on(1).hears(&["a#1 m1", "b#2 m2"]);
    world.on(1).shared_prefetch(3).hears(&["PrefetchSet", "a#3 m1"]);
    world.on(1).ack_up_to(3).hears(&["b#4 m2", "b#5 m2", "a#6 m1"]);
    world.on(1).shared_prefetch(1).ack(4).ack(5).hears(&["PrefetchSet"]);
    published(&mut world, 1);
    world.on(1).shared_prefetch(0).hears(&["PrefetchSet", "a#7 m1"]);
}

#[test]
fn consumers_that_come_and_go_while_the_limit_is_reached_leave_nothing_behind() {
    let mut world = World::new();
    world.on(1).declare("q").shared_prefetch(1).consume("q", "t").deaf();
    published(&mut world, 2);
    world.on(1).deaf();
    for _ in 0..10 {
        world.on(1).consume("q", "later").cancel("later").deaf();
    }
    assert_eq!(format!("{:?}", world.broker).matches("stalled: [ConsumerId(1)]").count(), 1);
    world.on(1).ack(1).hears(&["t#2 m2"]);
}

#[test]
fn an_exclusive_consumer_is_alone() {
    let mut world = World::new();
    world.on(1).declare("q").consume_with("q", "a", |consume| consume.exclusive = true).deaf();
    world.on(2).consume("q", "b").hears(&["refused: exclusive use of q"]).reopen().deaf();
    world.on(1).cancel("a").deaf();
    world.on(2).consume("q", "b").hears(&["started b"]);
    world
        .on(1)
        .consume_with("q", "a", |consume| consume.exclusive = true)
        .hears(&["refused: exclusive use of q"]);
}

#[test]
fn a_tag_names_one_consumer_of_a_session() {
    let mut world = World::new();
    world.on(1).declare("q").consume("q", "t").deaf();
    world.at(1, 2).consume("q", "t").hears(&["started t"]);
    world.on(1).consume("q", "t").hears(&["refused: ConsumerTagInUse { tag: \"t\" }"]);
    world.on(2).consume("q", "t").cancel("t").cancel("t").consume("q", "t");
    world.on(2).hears(&["started t", "stopped t", "stopped t", "started t"]);
}

#[test]
fn a_full_window_stalls_one_connection_and_opens_fairly() {
    // An envelope of these has 10 or 11 bytes: 4 of key and body, 6 of lengths.
    let mut world = World::with(Settings { delivery_window_bytes: 20, ..Settings::default() });
    world.on(1).declare("q").declare("r").consume("q", "a").consume("r", "b").deaf();
    for _ in 0..4 {
        world.on(9).publish("q", "m1").publish("r", "m2");
    }
    world.on(1).hears(&["a#1 m1", "b#2 m2", "a#3 m1"]);
    // Another connection is served meanwhile.
    world.on(2).consume_no_ack("q", "c").hears(&["started c", "c#1 m1", "c#2 m1"]);
    world.sent(1, 9);
    world.on(1).hears(&["b#4 m2"]);
    world.sent(1, 100);
    world.on(1).hears(&["b#5 m2", "b#6 m2"]);
    world.sent(1, 0);
    assert_eq!(world.broker.totals().messages_ready, 0);
}

#[test]
fn consumers_that_come_and_go_while_the_window_is_full_leave_nothing_behind() {
    let mut world = World::with(Settings { delivery_window_bytes: 1, ..Settings::default() });
    world.on(1).declare("q").consume_no_ack("q", "t").deaf();
    published(&mut world, 3);
    for _ in 0..10 {
        world.on(1).consume("q", "later").cancel("later").deaf();
    }
    assert_eq!(format!("{:?}", world.broker).matches("stalled: [ConsumerId(1)]").count(), 1);
    world.sent(1, 100);
    world.on(1).hears(&["t#2 m2"]);
}

#[test]
fn what_goes_back_to_a_publisher_counts_in_its_window() {
    let mut world = World::with(Settings { delivery_window_bytes: 20, ..Settings::default() });
    world.on(1).declare("q").consume_no_ack("q", "t").deaf();
    world.on(1).publish_with("", "nobody", "a body of twenty bytes", |publish| publish.mandatory = true);
    world.on(1).hears(&["returned a body of twenty bytes"]).publish("q", "m").hears::<&str>(&[]);
    world.sent(1, 1000);
    world.on(1).hears(&["t#1 m"]);
}

#[test]
fn a_session_holds_a_bounded_number_of_deliveries() {
    const LIMIT: u64 = 1_048_576;
    let mut world = World::with(Settings { delivery_window_bytes: u64::MAX, ..Settings::default() });
    world.on(1).declare_queue("q", |q| q.durable = false).deaf();
    for _ in 0..LIMIT + 2 {
        let publish = || broker::Publish {
            envelope: broker::Envelope::new(b"", b"q", b"", b""),
            mandatory: false,
            persistent: false,
            headers: None,
        };
        world.on(9).operate(broker::Operation::Publish(publish()));
    }
    world.on(1).consume("q", "t");
    assert_eq!(world.broker.totals().messages_unacked, LIMIT);
    world.on(1).deaf().ack(1).hears(&[format!("t#{} ", LIMIT + 1)]);
    world.on(1).get("q").hears(&[format!("refused: TooManyUnacked {{ limit: {LIMIT} }}")]);
    assert_eq!(world.broker.totals().messages_ready, LIMIT + 1);
}
