//! Deliveries are acknowledged, rejected, returned and recovered.

use broker::{Operation, Outcome};

use crate::world::World;

fn with_messages(count: usize) -> World {
    let mut world = World::new();
    world.on(1).declare("q").deaf();
    for number in 1..=count {
        let session = world.on(9);
        // Every other message is transient: it must not make a difference.
        if number % 2 == 0 {
            session.transient("q", &format!("m{number}"))
        } else {
            session.publish("q", &format!("m{number}"))
        };
    }
    world
}

#[test]
fn an_ack_removes_and_a_second_is_unknown() {
    let mut world = with_messages(3);
    world.on(1).consume("q", "t").deaf().ack(2).hears::<&str>(&[]);
    assert_eq!(world.broker.totals().messages_unacked, 2);
    world.on(1).ack(2).hears(&["refused: unknown tag 2"]);
    // The refused session has let go of the others.
    assert_eq!((world.broker.totals().messages_ready, world.transient_messages()), (2, 0));
}

#[test]
fn tags_that_cannot_be_settled() {
    for (tag, multiple) in [(0, false), (9, false), (9, true), (2, true), (1, false)] {
        let mut world = with_messages(4);
        world.on(1).consume("q", "t").ack(1).ack(2).deaf();
        let refused = format!("refused: unknown tag {tag}");
        world.on(1).settle(tag, multiple, Outcome::Acknowledged).hears(&[refused]);
    }
}

#[test]
fn multiple_settles_all_up_to_the_tag_and_zero_all() {
    let mut world = with_messages(6);
    world.on(1).consume("q", "t").deaf().ack(2).ack_up_to(4).hears::<&str>(&[]);
    assert_eq!(world.broker.totals().messages_unacked, 2);
    world.on(1).ack_up_to(0).ack_up_to(0).hears::<&str>(&[]);
    assert_eq!(world.broker.totals().messages_unacked, 0);
    assert_eq!((world.transient_messages(), world.broker.counters().acknowledged), (0, 6));
}

#[test]
fn a_requeued_message_returns_to_its_place() {
    let mut world = with_messages(4);
    world.on(1).get("q").get("q").get("q").deaf().requeue(2).requeue(1).hears::<&str>(&[]);
    world.on(2).consume("q", "t").hears(&["started t", "t#1 m1 again", "t#2 m2 again", "t#3 m4"]);
}

#[test]
fn a_requeued_message_returns_to_its_place_also_pages_later() {
    let mut world = with_messages(1200);
    world.on(1).consume("q", "t").deaf();
    // All of the first two pages but two messages are settled, and their pages' rest is gone.
    for tag in (1..=1100).filter(|tag| ![7, 600].contains(tag)) {
        world.on(1).ack(tag);
    }
    world.on(1).cancel("t").requeue(600).requeue(7).requeue(1150).deaf();
    world.on(2).consume("q", "u").hears(&["started u", "u#1 m7 again", "u#2 m600 again", "u#3 m1150 again"]);
    world.on(2).ack_up_to(0);
    world.on(1).ack_up_to(0);
    assert_eq!((world.broker.totals().messages_unacked, world.transient_messages()), (0, 0));
    assert_eq!(world.check_replay().queues[0].messages, []);
}

#[test]
fn a_rejected_message_is_dropped_and_counted() {
    let mut world = with_messages(3);
    world.on(1).consume("q", "t").deaf().settle(2, true, Outcome::Discarded).hears::<&str>(&[]);
    let counters = world.broker.counters();
    assert_eq!((counters.rejected_dropped, counters.acknowledged), (2, 0));
    assert_eq!(world.transient_messages(), 0);
}

#[test]
fn requeueing_gives_the_credit_back_and_takes_turns() {
    let mut world = with_messages(2);
    world.on(1).prefetch(1).consume("q", "a").deaf();
    world.on(2).prefetch(1).consume("q", "b").deaf();
    world.on(1).requeue(1).hears(&["a#2 m1 again"]);
    world.on(2).requeue(1).hears(&["b#2 m2 again"]);
}

#[test]
fn recover_returns_all_and_answers_first() {
    let mut world = with_messages(3);
    world.on(1).prefetch(2).consume("q", "t").deaf();
    world.on(1).operate(Operation::Recover).hears(&["Recovered", "t#3 m1 again", "t#4 m2 again"]);
    world.on(1).ack(1).hears(&["refused: unknown tag 1"]);
}

#[test]
fn a_message_got_without_ack_is_gone() {
    let mut world = with_messages(2);
    let get = || Operation::Get { queue: crate::world::name("q"), no_ack: true };
    world.on(1).operate(get()).operate(get()).operate(get()).hears(&[
        "got#1 m1, 1 left",
        "got#2 m2, 0 left",
        "GetEmpty",
    ]);
    world.on(1).ack(1).hears(&["refused: unknown tag 1"]);
    assert_eq!((world.broker.totals().messages_unacked, world.transient_messages()), (0, 0));
}

#[test]
fn a_cancelled_consumer_leaves_its_deliveries_with_the_session() {
    let mut world = with_messages(3);
    world.on(1).prefetch(2).consume("q", "t").deaf().cancel("t").hears(&["stopped t"]);
    assert_eq!(world.broker.totals().messages_unacked, 2);
    world.on(1).ack(1).requeue(2).hears::<&str>(&[]).get("q").hears(&["got#3 m2 again, 1 left"]);
}

#[test]
fn purge_takes_ready_messages_and_leaves_held_ones() {
    let mut world = with_messages(600);
    world.on(1).get("q").get("q").get("q").deaf().requeue(2).purge("q").hears(&["purged 598"]);
    assert_eq!((world.broker.totals().messages_unacked, world.transient_messages()), (2, 0));
    world.on(9).publish("q", "new");
    world.on(1).requeue(1).requeue(3).get("q").get("q").get("q");
    world.on(1).hears(&["got#4 m1 again, 2 left", "got#5 m3 again, 1 left", "got#6 new, 0 left"]);
    world.on(1).purge("q").hears(&["purged 0"]);
}
