//! Publishes, their confirms and their returns.

use broker::{Effect, Lsn};

use crate::world::World;

#[test]
fn confirms_count_from_the_selection() {
    let mut world = World::new();
    world
        .on(1)
        .declare("q")
        .publish("q", "uncounted")
        .confirm()
        .confirm()
        .publish("q", "m")
        .transient("q", "m")
        .deaf();
    world.on(1).publish("q", "m").hears(&["confirmed 3"]);
    world.at(1, 2).confirm().publish("q", "m").hears(&["ConfirmSelected", "confirmed 1"]);
    assert_eq!(world.broker.counters().confirmed, 4);
}

#[test]
fn a_confirm_waits_for_its_own_entry_and_for_nothing_else() {
    let mut world = World::new();
    world.on(1).declare("q").declare_queue("memory", |q| q.durable = false).confirm().deaf();
    world.effects.clear();
    world.on(1).publish("q", "m").transient("q", "m").publish("memory", "m").publish("nowhere", "m");
    let last = world.entries.last().unwrap().0;
    let waits: Vec<Lsn> = world.effects.iter().map(|addressed| addressed.after).collect();
    assert_eq!(waits, [last, Lsn::NONE, Lsn::NONE, Lsn::NONE]);
}

#[test]
fn an_unroutable_message_is_returned_before_its_confirm_or_counted() {
    let mut world = World::new();
    let mandatory = |publish: &mut broker::Publish| publish.mandatory = true;
    world.on(1).confirm().deaf().publish("none", "lost").publish_with("", "none", "back", mandatory);
    world.on(1).hears(&["confirmed 1", "returned back", "confirmed 2"]);
    world.on(1).declare("q").deaf().publish_with("", "q", "taken", mandatory).hears(&["confirmed 3"]);
    let counters = world.broker.counters();
    assert_eq!((counters.unroutable_dropped, counters.unroutable_returned, counters.routed), (1, 1, 1));
}

#[test]
fn a_refused_publish_uses_up_no_number() {
    let mut world = World::new();
    world
        .on(1)
        .confirm()
        .publish_to("none", "k", "m")
        .hears(&["ConfirmSelected", "refused: no exchange 'none'"]);
    assert_eq!(world.broker.counters().confirmed, 0);
}

#[test]
fn a_publish_that_the_front_end_refuses_names_its_exchange_first() {
    let refuse = |exchange: &str| broker::Operation::RefusePublish {
        exchange: crate::world::name(exchange),
        refusal: Box::new(broker::Refusal::NotTransactional),
    };
    let mut world = World::new();
    world.on(1).operate(refuse("none")).hears(&["refused: no exchange 'none'"]);
    world.on(2).operate(refuse("amq.direct")).hears(&["refused: NotTransactional"]);
    world.on(3).operate(refuse("")).hears(&["refused: NotTransactional"]);
}

#[test]
fn an_echo_keeps_its_place_and_waits_for_nothing() {
    let mut world = World::new();
    world.on(1).declare("q").operate(broker::Operation::Echo).hears(&["declared 0/0", "Echoed"]);
    assert_eq!(world.effects.last().unwrap().after, Lsn::NONE);
}

#[test]
fn only_persistent_messages_of_durable_queues_are_journaled() {
    let mut world = World::new();
    world.on(1).declare("q").declare_queue("memory", |q| q.durable = false);
    world.on(1).bind("amq.fanout", "", "q").bind("amq.fanout", "", "memory").deaf();
    let entries = world.entries.len();
    world.on(1).publish("memory", "m").transient("q", "m").hears::<&str>(&[]);
    assert_eq!((world.entries.len(), world.transient_messages()), (entries, 2));
    world.on(1).publish_to("amq.fanout", "", "both").hears::<&str>(&[]);
    assert_eq!((world.entries.len(), world.transient_messages()), (entries + 1, 2));
    // The journaled message lies in both queues and waits for its entry in both.
    world.on(1).get("memory").get("memory").ack_up_to(0);
    assert_eq!(world.entries.len(), entries + 1, "settling in a transient queue is not journaled");
    assert_eq!(world.check_replay().queues[0].messages.len(), 1);
}

#[test]
fn what_a_queue_says_of_itself_rests_on_the_whole_state() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "m").deaf();
    world.effects.clear();
    world.on(2).declare("q").get("empty");
    let position = world.entries.last().unwrap().0;
    assert!(world.effects.iter().all(|addressed| addressed.after == position), "{:?}", world.effects);
    assert!(matches!(world.effects[2].effect, Effect::Refused { .. }));
}

#[test]
fn large_transient_messages_get_blocks_of_their_own() {
    let mut world = World::new();
    let bodies: Vec<String> = [10, 300_000, 10, 200_000, 100_000, 5].map(|length| "b".repeat(length)).into();
    world.on(1).declare("q").consume("q", "t").deaf();
    for (body, tag) in bodies.iter().zip(1..) {
        world.on(1).transient("q", body).hears(&[format!("t#{tag} {body}")]);
    }
    assert!(world.blocks.len() >= 4);
    world.on(1).ack_up_to(0);
    assert_eq!(world.transient_messages(), 0);
}
