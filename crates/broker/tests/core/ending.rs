//! Sessions and connections end, in peace or not.

use broker::Operation;

use crate::world::World;

#[test]
fn a_refused_session_takes_nothing_more_and_holds_nothing() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "m").publish("q", "n").consume("q", "t").deaf();
    world.on(1).get("none").hears(&["refused: no queue 'none'"]);
    let totals = world.broker.totals();
    assert_eq!((totals.messages_ready, totals.messages_unacked, totals.consumers), (2, 0, 0));
    world.on(1).publish("q", "never").ack(1).get("q").consume("q", "u").hears::<&str>(&[]);
    world.at(1, 2).get("q").hears(&["got#1 m again, 1 left"]);
    world
        .on(1)
        .reopen()
        .hears(&["SessionClosed", "SessionOpened"])
        .get("q")
        .hears(&["got#1 n again, 0 left"]);
    assert_eq!((world.broker.counters().sessions_opened, world.broker.counters().sessions_closed), (3, 1));
}

#[test]
fn a_front_ends_own_refusal_keeps_its_place() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "m").confirm().publish("q", "n").deaf();
    let own = broker::Refusal::FrontEnd { code: 540, text: "no".to_owned() };
    world.on(1).publish("q", "o").operate(Operation::Refuse(Box::new(own))).publish("q", "p");
    world.on(1).hears(&["confirmed 2", "refused: FrontEnd { code: 540, text: \"no\" }"]);
    let position = world.entries.last().unwrap().0;
    assert_eq!(world.effects.last().unwrap().after, position);
}

#[test]
fn closing_returns_what_was_held_to_others() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "m").publish("q", "n").consume("q", "t").deaf();
    world.on(2).consume("q", "u").deaf();
    world.on(1).ack(2).close().hears(&["SessionClosed"]);
    world.on(2).hears(&["u#1 m again"]);
    world.on(1).close().hears(&["SessionClosed"]);
}

#[test]
fn a_session_that_is_opened_again_over_itself_lets_go_first() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "m").consume("q", "t").deaf();
    world.on(1).operate(Operation::OpenSession).hears(&["SessionOpened"]);
    let totals = world.broker.totals();
    assert_eq!((totals.messages_ready, totals.consumers, totals.sessions), (1, 0, 1));
}

#[test]
fn a_lost_connection_takes_its_exclusive_queues_and_its_auto_delete_ones() {
    let mut world = World::new();
    world.on(1).declare_queue("mine", |q| q.exclusive = true).declare_queue("auto", |q| q.auto_delete = true);
    world.on(1).declare("q").publish("q", "m").publish("mine", "m").publish("auto", "m").consume("auto", "t");
    world.at(1, 2).consume("q", "u").consume("mine", "v").transaction().deaf();
    world.disconnect(1);
    let totals = world.broker.totals();
    assert_eq!((totals.queues, totals.messages_ready, totals.messages_unacked), (1, 1, 0));
    assert_eq!((totals.connections, totals.sessions, totals.consumers), (0, 0, 0));
    assert_eq!(world.transient_messages(), 0);
    world.check_replay();
    world.on(2).get("q").hears(&["got#1 m again, 0 left"]);
}

#[test]
fn a_deleted_queue_tells_its_consumers_and_forgets_their_deliveries() {
    let mut world = World::new();
    world.on(1).declare("q").prefetch(1).consume("q", "t").shared_prefetch(1).deaf();
    world.at(1, 2).consume("q", "u").deaf();
    world.on(9).transient("q", "m").publish("q", "n").publish("q", "o").transient("q", "p");
    world.on(1).deaf().delete("q").hears(&["cancelled t", "deleted 0"]);
    world.at(1, 2).deaf();
    assert_eq!(world.transient_messages(), 0);
    world.on(1).ack(1).hears::<&str>(&[]);
    world.at(1, 2).ack_up_to(0).hears::<&str>(&[]);
    // The credit came back: a consumer of another queue of the session gets its message.
    world.on(1).declare("r").publish("r", "next").consume("r", "w").hears(&[
        "declared 0/0",
        "started w",
        "w#2 next",
    ]);
}
