//! Publishes and settlements that happen together or not at all.

use broker::{Operation, Outcome};

use crate::world::World;

#[test]
fn nothing_happens_before_the_commit_and_then_all_of_it() {
    let mut world = World::new();
    world.on(1).declare("q").declare("r").publish("q", "in").transaction().get("q").deaf();
    world.on(1).publish("r", "out one").publish("q", "out two").ack(1).hears::<&str>(&[]);
    assert_eq!((world.broker.totals().messages_ready, world.broker.totals().messages_unacked), (0, 1));
    let entries = world.entries.len();
    world.on(1).commit().hears(&["Committed"]);
    assert_eq!(world.entries.len(), entries + 1, "a commit is one entry");
    assert_eq!((world.broker.totals().messages_ready, world.broker.totals().messages_unacked), (2, 0));
    assert_eq!(world.effects.last().unwrap().after, world.entries.last().unwrap().0);
}

#[test]
fn a_rollback_forgets_publishes_and_leaves_deliveries_unacked() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "m").publish("q", "n").transaction().get("q").get("q").deaf();
    world
        .on(1)
        .ack(2)
        .settle(1, false, Outcome::Requeued)
        .publish("q", "never")
        .rollback()
        .hears(&["RolledBack"]);
    assert_eq!((world.broker.totals().messages_ready, world.broker.totals().messages_unacked), (0, 2));
    world.on(1).ack_up_to(2).commit().hears(&["Committed"]);
    assert_eq!(world.check_replay().queues[0].messages, []);
}

#[test]
fn publishes_come_before_settlements_and_returns_before_the_answer() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "first").transaction().consume("q", "t").prefetch(1).deaf();
    world.on(1).settle(1, false, Outcome::Requeued).publish_with("", "none", "back", |p| p.mandatory = true);
    world.on(1).publish("q", "second").hears::<&str>(&[]);
    world.on(1).commit().hears(&["returned back", "Committed", "t#2 first again", "t#3 second"]);
}

#[test]
fn a_tag_is_settled_once_also_inside() {
    for tag in [1, 9] {
        let mut world = World::new();
        world.on(1).declare("q").publish("q", "m").transaction().get("q").ack(1).publish("q", "never").deaf();
        world.on(1).ack(tag).hears(&[format!("refused: unknown tag {tag}")]).commit().hears::<&str>(&[]);
        // Nothing of it was done, and what the session held is back.
        assert_eq!((world.broker.totals().messages_ready, world.broker.totals().messages_unacked), (1, 0));
    }
}

#[test]
fn credit_comes_back_at_the_commit() {
    let mut world = World::new();
    world.on(1).declare("q").transaction().prefetch(1).consume("q", "t").deaf();
    world.on(9).publish("q", "m").publish("q", "n");
    world.on(1).hears(&["t#1 m"]).ack(1).hears::<&str>(&[]).rollback().hears(&["RolledBack"]);
    world.on(1).ack(1).commit().hears(&["Committed", "t#2 n"]);
}

#[test]
fn a_transaction_that_is_too_large_fails_wholly() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "kept").transaction().get("q").ack(1).deaf();
    let body = "b".repeat(16 * 1024 * 1024);
    world.on(1).publish("q", &body).publish("q", &body).publish("q", &body).hears::<&str>(&[]);
    world.on(1).publish("q", &body).commit();
    world.on(1).hears(&["refused: TransactionTooLarge { unit: \"bytes\", limit: 67108864 }"]);
    assert_eq!((world.broker.totals().messages_ready, world.broker.totals().messages_unacked), (1, 0));

    world.on(2).transaction().deaf();
    for _ in 0..100_000 {
        world.on(2).publish("none", "");
    }
    world
        .on(2)
        .publish("none", "")
        .hears(&["refused: TransactionTooLarge { unit: \"operations\", limit: 100000 }"]);
}

#[test]
fn modes_do_not_mix() {
    let mut world = World::new();
    world.on(1).transaction().transaction().confirm();
    world
        .on(1)
        .hears(&["TransactionSelected", "TransactionSelected", "refused: TransactionToConfirm"])
        .reopen()
        .deaf();
    world
        .on(1)
        .confirm()
        .transaction()
        .hears(&["ConfirmSelected", "refused: ConfirmToTransaction"])
        .reopen()
        .deaf();
    world.on(1).commit().hears(&["refused: NotTransactional"]).reopen().deaf();
    world.on(1).rollback().hears(&["refused: NotTransactional"]);
}

#[test]
fn a_session_that_ends_drops_its_open_transaction() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "m").transaction().get("q").ack(1).publish("q", "never").deaf();
    world.on(1).operate(Operation::CloseSession).hears(&["SessionClosed"]);
    world.on(2).get("q").get("q").hears(&["got#1 m again, 0 left", "GetEmpty"]);
}

#[test]
fn what_was_deleted_before_the_commit_is_passed_over() {
    let mut world = World::new();
    world
        .on(1)
        .declare("q")
        .exchange("x", "fanout")
        .bind("x", "", "q")
        .publish("q", "m")
        .transaction()
        .get("q")
        .deaf();
    world.on(1).ack(1).publish_to("x", "", "lost").publish("q", "lost").deaf();
    world.on(2).delete("q").delete_exchange("x", false).deaf();
    world.on(1).commit().hears(&["Committed"]);
    assert_eq!(world.broker.counters().unroutable_dropped, 2);
}
