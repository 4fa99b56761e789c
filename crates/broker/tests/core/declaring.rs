//! Exchanges, queues and bindings are declared, declared again, and deleted.

use broker::{DeclareQueue, Operation};
use field_table::{Table, Value};

use crate::world::{World, binding, name};

fn arguments(entries: &[(&str, Value)]) -> Table {
    entries.iter().map(|(key, value)| (name(key), value.clone())).collect()
}

/// Declares a queue twice and says what came the second time.
fn check_again(first: impl FnOnce(&mut DeclareQueue), again: impl FnOnce(&mut DeclareQueue), expected: &str) {
    let mut world = World::new();
    world.on(1).declare_queue("q", first).hears(&["declared 0/0"]);
    world.on(1).declare_queue("q", again).hears(&[expected]);
}

#[test]
fn a_queue_is_declared_again_only_as_it_is() {
    check_again(|_| (), |_| (), "declared 0/0");
    check_again(|_| (), |q| q.durable = false, "refused: queue 'q': durable is true, not false");
    check_again(|_| (), |q| q.auto_delete = true, "refused: queue 'q': auto_delete is false, not true");
    check_again(|q| q.exclusive = true, |q| q.exclusive = true, "declared 0/0");
    check_again(|q| q.exclusive = true, |_| (), "refused: locked q");
    check_again(|_| (), |q| q.exclusive = true, "refused: locked q");
}

#[test]
fn arguments_of_a_queue_are_compared_by_value() {
    let set = |key: &'static str, value: Value| {
        move |declare: &mut DeclareQueue| declare.arguments = arguments(&[(key, value)])
    };
    let length = |value| set("x-max-length", value);
    check_again(length(Value::I32(10)), length(Value::I64(10)), "declared 0/0");
    check_again(
        length(Value::I32(10)),
        length(Value::I32(20)),
        "refused: queue 'q': x-max-length is 10 (signedint), not 20 (signedint)",
    );
    check_again(
        length(Value::I32(10)),
        |_| (),
        "refused: queue 'q': x-max-length is 10 (signedint), not none",
    );
    check_again(
        |_| (),
        set("x-dead-letter-exchange", Value::text("dead")),
        "refused: queue 'q': x-dead-letter-exchange is none, not dead (longstr)",
    );
    check_again(|_| (), set("x-my-own", Value::I32(1)), "declared 0/0");
}

/// As RabbitMQ's tutorial 6 declares its queue: not durable, without arguments.
#[test]
fn a_worker_that_knows_nothing_of_tasks_takes_a_task_queue_as_it_is() {
    let of_tasks = |more: &'static [(&str, Value)]| {
        move |declare: &mut DeclareQueue| {
            declare.arguments = arguments(&[&[("x-task-queue", Value::Bool(true))], more].concat());
        }
    };
    const SHORT: &[(&str, Value)] = &[("x-max-length", Value::I64(10))];
    check_again(of_tasks(SHORT), |q| q.durable = false, "declared 0/0");
    check_again(of_tasks(SHORT), |_| (), "declared 0/0");
    check_again(of_tasks(SHORT), |q| q.arguments = arguments(SHORT), "declared 0/0");
    // What it does say is compared, and all of it if it does know.
    let refused = "refused: queue 'q': x-max-length is none, not 10 (long)";
    check_again(of_tasks(&[]), |q| q.arguments = arguments(SHORT), refused);
    check_again(
        of_tasks(&[]),
        |q| q.auto_delete = true,
        "refused: queue 'q': auto_delete is false, not true",
    );
    check_again(of_tasks(&[]), |q| q.exclusive = true, "refused: locked q");
    check_again(of_tasks(SHORT), of_tasks(&[]), "refused: queue 'q': x-max-length is 10 (long), not none");
}

#[test]
fn a_passive_declaration_only_asks() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "one").deaf();
    let passive = |declare: &mut DeclareQueue| {
        declare.passive = true;
        declare.durable = false;
    };
    world.on(1).declare_queue("q", passive).hears(&["declared 1/0"]);
    world.on(1).declare_queue("none", passive).hears(&["refused: no queue 'none'"]);
}

#[test]
fn an_exclusive_queue_is_locked_for_other_connections() {
    let operations = |case: usize, world: &mut World| -> Vec<String> {
        let session = world.on(2);
        let mut session = match case {
            0 => session.declare_queue("q", |q| q.exclusive = true),
            1 => session.declare_queue("q", |q| q.passive = true),
            2 => session.consume("q", "t"),
            3 => session.get("q"),
            4 => session.purge("q"),
            5 => session.delete("q"),
            6 => session.bind("amq.direct", "k", "q"),
            _ => session.unbind("amq.direct", "k", "q"),
        };
        session.take_heard()
    };
    for case in 0..8 {
        let mut world = World::new();
        world.on(1).declare_queue("q", |q| q.exclusive = true).bind("amq.direct", "k", "q").deaf();
        assert_eq!(operations(case, &mut world), ["refused: locked q"], "case {case}");
        // Others may publish to it, and another session of its connection may use it.
        world.on(3).publish("q", "hello");
        world.at(1, 2).get("q").hears(&["got#1 hello, 0 left"]);
    }
}

#[test]
fn what_is_wrong_is_told_in_rabbitmqs_order() {
    let mut world = World::new();
    world.on(1).declare_queue("locked", |q| q.exclusive = true).deaf();
    // A missing source comes before a missing or locked destination.
    world.on(2).bind("none", "k", "missing").hears(&["refused: no exchange 'none'"]);
    world.on(3).bind("none", "k", "locked").hears(&["refused: no exchange 'none'"]);
    world.on(4).bind_exchange("none", "k", "missing").hears(&["refused: no exchange 'none'"]);
    // A binding that is not there is unbound with pleasure, whoever owns the queue.
    world.on(5).unbind("amq.direct", "k", "locked").hears(&["QueueUnbound"]);
}

#[test]
fn reserved_names_are_refused() {
    let mut world = World::new();
    world.on(1).declare("amq.mine").hears(&["refused: reserved queue 'amq.mine'"]).reopen().deaf();
    world.on(1).declare_queue("amq.gen-x", |q| q.generated = true).hears(&["declared 0/0"]);
    world
        .on(1)
        .exchange("amq.mine", "direct")
        .hears(&["refused: reserved exchange 'amq.mine'"])
        .reopen()
        .deaf();
    world.on(1).exchange("amq.topic", "topic").hears(&["ExchangeDeclared"]);
    world.on(1).delete_exchange("amq.topic", false).reopen().deaf();
    world.on(1).exchange("", "direct").hears(&["refused: DefaultExchange"]).reopen().deaf();
    world.on(1).bind("", "k", "amq.gen-x").hears(&["refused: DefaultExchange"]);
}

#[test]
fn an_exchange_is_declared_again_only_as_it_is() {
    let cases: [(&str, &str); 5] = [
        ("type", "refused: exchange 'x': type is direct, not fanout"),
        ("durable", "refused: exchange 'x': durable is true, not false"),
        ("auto_delete", "refused: exchange 'x': auto_delete is false, not true"),
        ("internal", "refused: exchange 'x': internal is false, not true"),
        ("alternate-exchange", "refused: exchange 'x': alternate-exchange is none, not other (longstr)"),
    ];
    for (field, expected) in cases {
        let mut world = World::new();
        world.on(1).exchange("x", "direct").exchange("x", "direct").deaf();
        let change = |declare: &mut broker::DeclareExchange| match field {
            "type" => declare.kind = name("fanout"),
            "durable" => declare.durable = false,
            "auto_delete" => declare.auto_delete = true,
            "internal" => declare.internal = true,
            _ => declare.arguments = arguments(&[(field, Value::text("other"))]),
        };
        world.on(1).declare_exchange("x", change).hears(&[expected]);
    }
}

#[test]
fn the_last_consumer_takes_an_auto_delete_queue_and_its_exchanges_along() {
    let mut world = World::new();
    let auto = |declare: &mut broker::DeclareExchange| declare.auto_delete = true;
    world.on(1).declare_exchange("upper", auto).declare_exchange("lower", auto);
    world
        .on(1)
        .declare_queue("q", |q| q.auto_delete = true)
        .bind("lower", "k", "q")
        .bind_exchange("upper", "k", "lower");
    world.on(1).consume("q", "one").deaf();
    world.on(2).consume("q", "two").cancel("two").hears(&["started two", "stopped two"]);
    assert_eq!(world.broker.totals().queues, 1);
    world.on(1).cancel("one").hears(&["stopped one"]);
    let totals = world.broker.totals();
    assert_eq!((totals.queues, totals.exchanges), (0, 6));
    assert_eq!(world.check_replay().bindings, []);
}

#[test]
fn an_auto_delete_queue_stays_until_a_consumer_came() {
    let mut world = World::new();
    world.on(1).declare_queue("q", |q| q.auto_delete = true).publish("q", "m").get("q").deaf();
    world.disconnect(1);
    assert_eq!(world.broker.totals().messages_ready, 1);
}

#[test]
fn binding_twice_is_binding_once() {
    let mut world = World::new();
    world
        .on(1)
        .exchange("x", "topic")
        .declare("q")
        .bind("x", "a.*", "q")
        .bind("x", "a.*", "q")
        .bind("x", "#", "q");
    world.on(1).deaf().publish_to("x", "a.b", "m").get("q").hears(&["got#1 m, 0 left"]);
    world.on(1).unbind("x", "a.*", "q").unbind("x", "a.*", "q").unbind("x", "none", "q").deaf();
    world.on(1).publish_to("x", "a.b", "m").get("q").hears(&["got#2 m, 0 left"]);
    world.on(1).unbind("x", "#", "q").deaf().publish_to("x", "a.b", "m").get("q").hears(&["GetEmpty"]);
}

#[test]
fn bindings_with_the_same_arguments_in_another_order_are_the_same() {
    let mut world = World::new();
    let (one, two) = (("k", Value::I32(1)), ("l", Value::I32(2)));
    let bind =
        |entries: &[(&str, Value)]| Operation::BindQueue(binding("amq.headers", "", "q", arguments(entries)));
    world
        .on(1)
        .declare("q")
        .operate(bind(&[one.clone(), two.clone()]))
        .operate(bind(&[two.clone(), one.clone()]));
    assert_eq!(world.check_replay().bindings.len(), 1);
    let unbind = Operation::UnbindQueue(binding("amq.headers", "", "q", arguments(&[two, one])));
    world.on(1).operate(unbind).deaf();
    assert_eq!(world.check_replay().bindings, []);
}

#[test]
fn what_is_missing_is_named() {
    let mut world = World::new();
    world.on(1).declare("q").deaf();
    world.on(1).bind("x", "", "q").hears(&["refused: no exchange 'x'"]).reopen().deaf();
    world.on(1).bind("amq.direct", "", "none").hears(&["refused: no queue 'none'"]).reopen().deaf();
    world.on(1).bind_exchange("amq.direct", "", "x").hears(&["refused: no exchange 'x'"]).reopen().deaf();
    world.on(1).consume("none", "t").hears(&["refused: no queue 'none'"]).reopen().deaf();
    world.on(1).get("none").hears(&["refused: no queue 'none'"]).reopen().deaf();
    world.on(1).publish_to("x", "", "m").hears(&["refused: no exchange 'x'"]).reopen().deaf();
    // What is gone already is deleted and unbound with pleasure.
    world.on(1).delete("none").delete_exchange("none", true).unbind("none", "", "q").unbind(
        "amq.direct",
        "",
        "none",
    );
    world.on(1).hears(&["deleted 0", "ExchangeDeleted", "QueueUnbound", "QueueUnbound"]);
}

#[test]
fn deleting_may_ask_for_unused_or_empty() {
    let mut world = World::new();
    let delete = |if_unused, if_empty| Operation::DeleteQueue { name: name("q"), if_unused, if_empty };
    world.on(1).declare("q").publish("q", "m").bind("amq.fanout", "", "q").deaf();
    world.on(1).operate(delete(true, true)).hears(&["refused: q not empty"]).reopen().deaf();
    world.on(2).consume("q", "t").deaf();
    // Held messages are not ready: the queue counts as empty, but it is in use.
    world.on(1).operate(delete(true, true)).hears(&["refused: queue 'q' in use"]).reopen().deaf();
    world.on(1).exchange("x", "direct").bind("x", "", "q").deaf();
    world.on(1).delete_exchange("x", true).hears(&["refused: exchange 'x' in use"]).reopen().deaf();
    world.on(1).operate(delete(false, true)).hears(&["deleted 0"]);
    world.on(2).hears(&["cancelled t"]).ack(1).hears::<&str>(&[]);
    world.on(1).delete_exchange("x", true).hears(&["ExchangeDeleted"]);
}

#[test]
fn a_queue_that_is_declared_anew_has_nothing_of_the_old_one() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "old").publish("q", "old").get("q").delete("q").declare("q").deaf();
    world.on(1).publish("q", "new").ack(1).get("q").hears(&["got#2 new, 0 left"]);
    assert_eq!(world.check_replay().queues.len(), 1);
}
