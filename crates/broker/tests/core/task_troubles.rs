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

#[test]
fn a_caller_that_came_back_learns_that_its_task_did_not_succeed() {
    let mut world = world();
    let address = "amq.rabbitmq.reply-to.caller";
    wait_at(&mut world, 4, address);
    for (text, ends) in [("refused", "failed"), ("withdrawn", "cancelled")] {
        let question = replying_to(address, keyed(text));
        publish(&mut world, 4, "jobs", &question, "question");
        if ends == "failed" {
            let held = lease_one(&mut world);
            world.ask(3, fail(held, false));
        } else {
            world.on(1).purge("jobs").deaf();
        }
        world.on(4).deaf();
        world.effects.clear();
        publish(&mut world, 4, "jobs", &question, "question");
        let told = world.effects.iter().find_map(|addressed| match &addressed.effect {
            Effect::RepliedAgain { state, .. } => Some(state.name().to_owned()),
            Effect::Replied { envelope, .. } => {
                let headers = Properties::decode(envelope.properties()).unwrap().headers.unwrap();
                Some(format!("{:?}", headers.get(b"x-error").unwrap()))
            }
            _ => None,
        });
        assert!(told.as_ref().is_some_and(|told| told.contains(ends)), "{told:?} of {ends}");
    }
}

#[test]
fn a_callers_direct_reply_waits_for_what_it_says() {
    let mut world = world();
    let address = "amq.rabbitmq.reply-to.caller";
    wait_at(&mut world, 4, address);
    publish(&mut world, 4, "jobs", &replying_to(address, Properties::default()), "question");
    let held = lease_one(&mut world);
    world.ask(3, complete(held, "answer"));
    world.on(4).hears(&["reply r#1 answer"]);
    let ended_at = world.entries.last().unwrap().0;
    let replied = world.effects.iter().find(|to| matches!(to.effect, Effect::Replied { .. }));
    assert_eq!(replied.unwrap().after, ended_at, "the task has ended only when that is durable");
}

#[test]
fn repeated_answers_to_a_caller_that_does_not_read_have_a_bound() {
    let mut world = world();
    let address = "amq.rabbitmq.reply-to.caller";
    wait_at(&mut world, 4, address);
    let question = replying_to(address, keyed("k"));
    publish(&mut world, 4, "jobs", &question, "question");
    let held = lease_one(&mut world);
    world.ask(3, complete(held, &"x".repeat(1 << 20)));
    world.effects.clear();
    for _ in 0..100 {
        publish(&mut world, 4, "jobs", &question, "question");
    }
    let again = world.effects.iter().filter(|to| matches!(to.effect, Effect::RepliedAgain { .. })).count();
    assert!((50..70).contains(&again), "{again} MiB on their way to one connection");
    assert_eq!(world.broker.counters().replies_dropped, 100 - again as u64);
}

#[test]
fn a_reply_that_nobody_took_is_counted() {
    let mut world = world();
    declare(&mut world, "small", &[("x-max-length", Value::I64(0))]);
    let answer = |world: &mut World, reply_to: &str| {
        publish(world, 1, "jobs", &replying_to(reply_to, Properties::default()), "job");
        let held = lease_one(world);
        assert_eq!(world.ask(3, complete(held, "answer")), ["settled succeeded"]);
        world.broker.counters().task_replies_dropped
    };
    assert_eq!(answer(&mut world, "nowhere"), 1);
    assert_eq!(answer(&mut world, "small"), 2, "it is full");
    let asked = enqueue_one(&mut world, "a task whose answer is that of another");
    let held = lease_one(&mut world);
    assert_eq!(answer(&mut world, &held.reply_address().to_string()), 2);
    assert_eq!(world.look(asked), ["succeeded 200 0/0 answer"]);
    assert_eq!(answer(&mut world, &held.reply_address().to_string()), 3, "it was answered before");
}

#[test]
fn a_caller_that_joins_a_task_that_nobody_waited_for_is_answered() {
    let mut world = world();
    let address = "amq.rabbitmq.reply-to.caller";
    publish(&mut world, 4, "jobs", &keyed("k"), "question");
    wait_at(&mut world, 5, address);
    publish(&mut world, 5, "jobs", &replying_to(address, keyed("k")), "question");
    world.effects.clear();
    world.on(2).consume_no_ack("jobs", "w").hears(&["started w", "w#1 question"]);
    let held = world.only_lease();
    world.reply(2, held, &Properties::default(), "answer");
    world.on(5).hears(&["reply r#1 answer"]);
}

#[test]
fn a_lost_connection_blames_what_was_worked_on() {
    let lose = |act: fn(&mut World)| {
        let mut world = world();
        let ids = ["one", "two"].map(|body| enqueue_one(&mut world, body));
        world.effects.clear();
        world.on(2).consume("jobs", "w").deaf();
        act(&mut world);
        world.disconnect(2);
        ids.map(|id| world.look(id).concat())
    };
    let in_a_transaction = lose(|world| {
        world.on(2).transaction().ack(1);
    });
    assert_eq!(in_a_transaction, ["ready 0/1", "ready 0/0"], "settled, but not committed");
    let answered_before = lose(|world| {
        let first = world.leases()[0];
        world.reply(2, first, &Properties::default(), "answer");
    });
    assert_eq!(answered_before, ["succeeded 200 0/0 answer", "ready 0/1"], "the first was done");
}

#[test]
fn a_task_whose_time_is_over_is_not_handed_out_though_its_alarm_is_late() {
    let mut world = world();
    let impatient = Properties { expiration: Some(name("100")), ..Properties::default() };
    let hurried = headers(&[("x-deadline", Value::I64(100))]);
    let mut ids = Vec::new();
    for properties in [&impatient, &hurried, &Properties::default()] {
        world.effects.clear();
        world.ask(1, enqueue_with(properties, "job", |_| ()));
        ids.extend(world.task_ids());
    }
    world.oversleep(200);
    assert_eq!(world.ask(2, lease(10, false)), ["leased job crashes 0", "granted 1"]);
    assert_eq!(world.look(ids[0]), ["expired 504 0/0"]);
    assert_eq!(world.look(ids[1]), ["expired 504 0/0"]);
    publish(&mut world, 1, "jobs", &impatient, "job");
    world.oversleep(200);
    world.on(3).get("jobs").hears(&["GetEmpty"]);
    publish(&mut world, 1, "jobs", &impatient, "job");
    world.oversleep(200);
    world.on(3).consume("jobs", "w").hears(&["started w"]);
    assert_eq!(world.broker.counters().tasks_expired, 4);
}

#[test]
fn a_task_leaves_its_place_in_a_full_queue_to_what_follows_it() {
    let mut world = world();
    declare(&mut world, "jobs-of-one", &[("x-max-length", Value::I64(1))]);
    world.on(1).publish("jobs-of-one", "step 1");
    world.effects.clear();
    world.on(2).consume("jobs-of-one", "w").deaf();
    let held = world.only_lease();
    let with = |count: usize| {
        let publish = vec![envelope("jobs-of-one", &Properties::default(), "step 2"); count];
        Standalone::Complete(Complete { lease: held, status: None, result: None, publish })
    };
    assert_eq!(world.ask(3, with(2)), ["refused: full 1/1"]);
    assert_eq!(world.ask(4, with(1)), ["settled succeeded"]);
    world.on(2).hears(&["w#2 step 2"]);
}

#[test]
fn a_checkpoint_keeps_what_was_answered_to_a_settlement() {
    let mut world = world();
    let id = enqueue_one(&mut world, "job");
    let held = lease_one(&mut world);
    assert_eq!(world.ask(3, release(held)), ["settled ready"]);
    world.ask(4, Standalone::Cancel { task: id });
    assert_eq!(world.ask(5, release(held)), ["settled ready"]);
    let mut world = World::from_checkpoint(world);
    assert_eq!(world.ask(6, release(held)), ["settled ready"]);
}

#[test]
fn a_checkpoint_keeps_what_was_answered_though_the_task_waits_for_another_time_since() {
    let mut world = world();
    enqueue_one(&mut world, "job");
    let held = lease_one(&mut world);
    assert_eq!(world.ask(3, fail(held, true)), ["settled scheduled"]);
    world.wait(1001);
    lease_one(&mut world);
    world.wait(30_001);
    assert_eq!(
        world.broker.counters().task_crashes,
        1,
        "the second worker was lost, and the task is ready at once"
    );
    assert_eq!(world.ask(4, fail(held, true)), ["settled scheduled"]);
    let mut world = World::from_checkpoint(world);
    assert_eq!(world.ask(5, fail(held, true)), ["settled scheduled"]);
    assert_eq!(world.ask(6, lease(1, false)), ["leased job crashes 1", "granted 1"]);
}

#[test]
fn a_checkpoint_keeps_the_key_of_the_later_of_two_tasks() {
    let mut world = world();
    let chosen = |id: &str| Properties { message_id: Some(name(id)), ..keyed("k") };
    publish(&mut world, 1, "jobs", &chosen("ffffffff-0000-7000-8000-000000000000"), "first");
    world.wait(25 * 3_600_000);
    publish(&mut world, 1, "jobs", &chosen("00000000-0000-7000-8000-000000000001"), "a day later");
    let mut world = World::from_checkpoint(world);
    publish(&mut world, 1, "jobs", &keyed("k"), "again");
    assert_eq!(world.broker.counters().tasks_repeated, 1);
}

#[test]
fn a_repeated_request_finds_all_its_tasks() {
    let mut world = world();
    let brief = headers(&[("x-result-ttl", Value::I64(0))]);
    let both = || {
        Standalone::Enqueue(Enqueue {
            queue: name("jobs"),
            tasks: vec![envelope("jobs", &brief, "job"); 2],
            expects_reply: false,
            key: key("k", 1),
            watch: false,
        })
    };
    assert_eq!(world.ask(1, both()), ["enqueued ready 0/0, ready 0/0"]);
    world.on(2).consume_no_ack("jobs", "w").deaf();
    world.wait(60_000);
    assert_eq!(world.ask(3, both()), ["enqueued succeeded 204 0/0, succeeded 204 0/0 again"]);
    world.wait(25 * 3_600_000);
    assert_eq!(world.broker.totals().tasks, 0);
}

#[test]
fn a_queue_with_work_is_neither_empty_nor_unused() {
    let mut world = world();
    let delete = |if_unused, if_empty| Operation::DeleteQueue { name: name("jobs"), if_unused, if_empty };
    world.ask(1, lease(1, true));
    world.on(2).operate(delete(true, false)).hears(&["refused: queue 'jobs' in use"]);
    world.ask(3, enqueue("job"));
    world.on(4).operate(delete(false, true)).hears(&["refused: jobs not empty"]);
    world.ask(5, enqueue_with(&headers(&[("x-delay", Value::I64(60_000))]), "later", |_| ()));
    world.effects.retain(|to| matches!(to.effect, Effect::Leased { .. }));
    let held = world.only_lease();
    world.ask(6, complete(held, "done"));
    world.on(5).operate(delete(true, true)).hears(&["refused: jobs not empty"]);
    world.wait(60_000);
    world.on(6).consume_no_ack("jobs", "w").hears(&["started w", "w#1 later"]);
}
