//! Tasks where several things come together: what has gone wrong once, and must not again.

use broker::{Complete, Effect, Enqueue, LeaseId, Operation, Standalone, TaskId, Until};
use field_table::Value;
use message_properties::Properties;

use crate::tasks::{complete, declare, enqueue, enqueue_with, envelope, fail, headers, key, lease, world};
use crate::world::{World, name};

/// Publishes to a queue by its name, with properties.
fn publish(world: &mut World, connection: u64, queue: &str, properties: &Properties, body: &str) {
    let envelope = envelope(queue, properties, body);
    world.on(connection).publish_with("", queue, body, |publish| publish.envelope = envelope);
}

fn keyed(text: &'static str) -> Properties {
    headers(&[("x-idempotency-key", Value::text(text))])
}

fn replying_to(address: &str, properties: Properties) -> Properties {
    Properties { reply_to: Some(name(address)), ..properties }
}

/// Lets a session of a connection wait for direct replies.
fn wait_at(world: &mut World, connection: u64, address: &str) {
    world.on(connection).consume_with("amq.rabbitmq.reply-to", "r", |consume| {
        consume.no_ack = true;
        consume.reply_address = Some(name(address));
    });
    world.on(connection).deaf();
}

fn release(lease: LeaseId) -> Standalone {
    Standalone::Release { lease, delay_ms: 0 }
}

fn enqueue_one(world: &mut World, body: &str) -> TaskId {
    world.effects.clear();
    world.ask(1, enqueue(body));
    world.task_ids()[0]
}

fn lease_one(world: &mut World) -> LeaseId {
    world.effects.clear();
    world.ask(2, lease(1, false));
    world.only_lease()
}

#[test]
fn a_refused_commit_gives_its_deliveries_back() {
    let mut world = world();
    declare(&mut world, "small", &[("x-max-length", Value::I64(1))]);
    world.on(1).declare("plain").publish("plain", "message").publish("small", "full");
    enqueue_one(&mut world, "job");
    world.on(2).consume("jobs", "w").consume("plain", "p").deaf();
    world.on(2).transaction().ack(1).ack(2).publish("small", "more").commit();
    world.on(2).hears(&["TransactionSelected", "refused: full 1/1"]);
    world.on(3).consume("jobs", "w").hears(&["started w", "w#1 job again"]);
    world.on(4).consume("plain", "p").hears(&["started p", "p#1 message again"]);
}

#[test]
fn a_transaction_repeats_a_key_also_on_a_full_queue() {
    let mut world = world();
    declare(&mut world, "small", &[("x-max-length", Value::I64(1))]);
    world.on(4).transaction().deaf();
    for _ in 0..2 {
        publish(&mut world, 4, "small", &keyed("k"), "job");
        publish(&mut world, 4, "small", &keyed("k"), "job");
        world.on(4).commit().hears(&["Committed"]);
    }
    assert_eq!(world.broker.totals().messages_ready, 1);
    publish(&mut world, 4, "small", &keyed("other"), "job");
    world.on(4).commit().hears(&["refused: full 1/1"]);
}

#[test]
fn a_transaction_answers_a_delivery_once() {
    let mut world = world();
    world.on(1).declare("next").deaf();
    enqueue_one(&mut world, "job");
    world.effects.clear();
    world.on(2).consume("jobs", "w").deaf();
    let held = world.only_lease();
    world.on(3).transaction().publish("next", "follow-up");
    world.reply(3, held, &Properties::default(), "one answer");
    world.reply(3, held, &Properties::default(), "another");
    world.on(3).commit().hears(&["TransactionSelected", "refused: StaleReply"]);
    assert_eq!(world.broker.totals().messages_ready, 0);
    assert_eq!(world.broker.counters().tasks_succeeded, 0);
}

#[test]
fn the_first_change_of_a_boot_is_seen_too() {
    let mut world = world();
    let id = enqueue_one(&mut world, "job");
    let mut world = world.restart();
    let Some(Effect::Task { view, .. }) = ({
        world.look(id);
        world.effects.pop().map(|addressed| addressed.effect)
    }) else {
        panic!("a look shows the task")
    };
    let until = Until::Changed { since: view.version };
    assert_eq!(world.ask(3, Standalone::Watch { task: id, until, with_result: false }), [""; 0]);
    world.ask(4, lease(1, false));
    assert_eq!(world.hear(3), ["running 0/0"]);
}
