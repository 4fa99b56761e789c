//! Direct replies: answers that go to a waiting session without a queue.

use crate::world::{Session, World, name};

const ADDRESS: &str = "amq.rabbitmq.reply-to.opaque";

fn await_replies<'w>(session: Session<'w>, tag: &str, no_ack: bool) -> Session<'w> {
    session.consume_with("amq.rabbitmq.reply-to", tag, |consume| {
        consume.no_ack = no_ack;
        consume.reply_address = Some(name(ADDRESS));
    })
}

#[test]
fn a_reply_reaches_the_session_that_waits() {
    let mut world = World::new();
    await_replies(world.on(1), "r", true).hears(&["started r"]);
    world.on(2).confirm().publish(ADDRESS, "pong").hears(&["ConfirmSelected", "confirmed 1"]);
    world.on(1).hears(&["reply r#1 pong"]);
    assert_eq!(world.broker.counters().routed, 1);
    world.on(1).cancel("r").hears(&["stopped r"]);
    world.on(2).publish_with("", ADDRESS, "late", |publish| publish.mandatory = true).hears(&["confirmed 2"]);
    world.on(1).hears::<&str>(&[]);
    assert_eq!(world.broker.counters().replies_dropped, 1);
}

#[test]
fn a_session_waits_once_and_never_acknowledges() {
    let mut world = World::new();
    await_replies(world.on(1), "r", false).hears(&["refused: ReplyConsumerAcknowledges"]).reopen().deaf();
    let session = await_replies(await_replies(world.on(1), "r", true), "s", true);
    session.hears(&["started r", "refused: ReplyConsumerExists"]);
    // The refused session waits no more.
    assert_eq!(world.broker.totals().consumers, 0);
}

#[test]
fn the_pseudo_queue_can_be_asked_for() {
    let mut world = World::new();
    let passive = |declare: &mut broker::DeclareQueue| declare.passive = true;
    await_replies(world.on(1), "r", true).deaf();
    world
        .on(2)
        .declare_queue("amq.rabbitmq.reply-to", passive)
        .declare(ADDRESS)
        .hears(&["declared 0/1", "declared 0/1"]);
    world.disconnect(1);
    world.on(2).declare_queue(ADDRESS, passive).hears(&[format!("refused: no queue '{ADDRESS}'")]);
    world.on(3).declare("amq.rabbitmq.reply-to5").hears(&["refused: no queue 'amq.rabbitmq.reply-to5'"]);
}

#[test]
fn the_pseudo_queue_is_neither_bound_nor_read() {
    let mut world = World::new();
    let pseudo = "amq.rabbitmq.reply-to";
    let bound = format!("refused: ReplyQueueBound {{ queue: \"{pseudo}\" }}");
    world.on(1).bind("amq.direct", "k", pseudo).hears(&[&bound]);
    world.on(2).unbind("amq.direct", "k", pseudo).hears(&[&bound]);
    world.on(3).get(pseudo).hears(&[format!("refused: ReplyQueueRead {{ queue: \"{pseudo}\" }}")]);
}

#[test]
fn a_second_reply_consumer_is_refused_before_its_tag_is_looked_at() {
    let mut world = World::new();
    let session = await_replies(await_replies(world.on(1), "r", true), "r", true);
    session.hears(&["started r", "refused: ReplyConsumerExists"]);
}

#[test]
fn replies_to_one_who_does_not_read_are_dropped_and_counted() {
    let mut world = World::new();
    await_replies(world.on(1), "r", true).deaf();
    let body = "b".repeat(40 * 1024 * 1024);
    world.on(2).publish(ADDRESS, &body).publish(ADDRESS, &body).publish(ADDRESS, &body);
    assert_eq!(world.broker.counters().replies_dropped, 1);
    world.sent(1, 90 * 1024 * 1024);
    world.on(2).publish(ADDRESS, "after");
    assert_eq!(world.on(1).take_heard().last().unwrap(), "reply r#3 after");
}
