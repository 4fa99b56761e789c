//! From exchanges to queues.

use broker::Operation;
use field_table::{Table, Value};

use crate::world::{World, binding, name};

/// Publishes to `exchange` and says which of the queues `a` to `e` got the message.
fn reached(world: &mut World, exchange: &str, key: &str) -> String {
    world.on(9).publish_to(exchange, key, "m");
    let mut reached = String::new();
    for queue in ["a", "b", "c", "d", "e"] {
        let found = world.on(9).declare_queue(queue, |q| q.passive = true).take_heard();
        if found == ["declared 1/0"] {
            reached.push_str(queue);
            world.on(9).purge(queue).deaf();
        } else {
            assert_eq!(found, ["declared 0/0"], "{queue} got the message more than once");
        }
    }
    reached
}

fn with_queues() -> World {
    let mut world = World::new();
    for queue in ["a", "b", "c", "d", "e"] {
        world.on(1).declare(queue).deaf();
    }
    world
}

#[test]
fn the_default_exchange_knows_every_queue_by_name() {
    let mut world = with_queues();
    assert_eq!(reached(&mut world, "", "c"), "c");
    assert_eq!(reached(&mut world, "", "f"), "");
}

#[test]
fn direct_compares_keys_fanout_none_topic_words() {
    let mut world = with_queues();
    for exchange in ["amq.direct", "amq.fanout", "amq.topic"] {
        world
            .on(1)
            .bind(exchange, "logs.*", "a")
            .bind(exchange, "logs.warn", "b")
            .bind(exchange, "#", "c")
            .deaf();
        world.on(1).bind(exchange, "logs.warn", "d").bind(exchange, "*.warn", "d").deaf();
    }
    let cases = [
        ("amq.direct", "logs.warn", "bd"),
        ("amq.direct", "logs.*", "a"),
        ("amq.direct", "logs", ""),
        ("amq.fanout", "whatever", "abcd"),
        ("amq.topic", "logs.warn", "abcd"),
        ("amq.topic", "logs.info", "ac"),
        ("amq.topic", "db.warn", "cd"),
        ("amq.topic", "", "c"),
    ];
    for (exchange, key, expected) in cases {
        assert_eq!(reached(&mut world, exchange, key), expected, "{exchange} {key}");
    }
}

#[test]
fn headers_match_all_or_any() {
    let mut world = with_queues();
    let table = |entries: &[(&str, Value)]| -> Table {
        entries.iter().map(|(key, value)| (name(key), value.clone())).collect()
    };
    let (one, two) = (("k", Value::I32(1)), ("l", Value::text("two")));
    let rules = [
        ("a", vec![one.clone(), two.clone()]),
        ("b", vec![("x-match", Value::text("any")), one.clone(), two.clone()]),
        ("c", vec![("x-match", Value::text("any")), ("x-own", Value::I32(1))]),
        ("d", vec![("x-match", Value::text("any-with-x")), ("x-own", Value::I32(1))]),
        ("e", vec![("k", Value::Void)]),
    ];
    for (queue, arguments) in &rules {
        world.on(1).operate(Operation::BindQueue(binding("amq.headers", "", queue, table(arguments)))).deaf();
    }
    let cases = [
        (vec![one.clone(), two.clone()], "abe"),
        (vec![("k", Value::I64(1))], "be"),
        (vec![("k", Value::text("1"))], "e"),
        (vec![("x-own", Value::I32(1))], "d"),
        (vec![], ""),
    ];
    for (headers, expected) in cases {
        let mut encoded = Vec::new();
        table(&headers).encode(&mut encoded);
        let envelope = broker::Envelope::new(b"amq.headers", b"", &encoded, b"m");
        let range = 0..encoded.len() as u32;
        world.on(9).publish_with("", "", "", |publish| {
            publish.envelope = envelope;
            publish.headers = Some(range);
        });
        assert_eq!(reached(&mut world, "amq.direct", "nobody"), expected, "{headers:?}");
    }
    let wrong =
        Operation::BindQueue(binding("amq.headers", "", "a", table(&[("x-match", Value::text("some"))])));
    world.on(1).operate(wrong).hears(&["refused: HeadersMatchValue { value: \"some\" }"]);
}

#[test]
fn exchanges_feed_exchanges_also_in_circles() {
    let mut world = with_queues();
    for exchange in ["x", "y", "z"] {
        world.on(1).exchange(exchange, "fanout").bind(exchange, "", "a").deaf();
    }
    world.on(1).bind("y", "", "b").bind("z", "", "c").deaf();
    world.on(1).bind_exchange("x", "", "y").bind_exchange("y", "", "z").bind_exchange("z", "", "x").deaf();
    world.on(1).bind_exchange("x", "", "x").deaf();
    assert_eq!(reached(&mut world, "x", ""), "abc");
    assert_eq!(reached(&mut world, "z", ""), "abc");
    world.on(1).delete_exchange("y", false).deaf();
    assert_eq!(reached(&mut world, "x", ""), "a");
    assert_eq!(reached(&mut world, "z", ""), "ac");
    assert_eq!(world.check_replay().bindings.len(), 5);
}

#[test]
fn an_internal_exchange_takes_messages_from_exchanges_only() {
    let mut world = with_queues();
    world.on(1).declare_exchange("inner", |x| x.internal = true).bind("inner", "k", "a").deaf();
    world.on(1).bind_exchange("amq.topic", "#", "inner").deaf();
    assert_eq!(reached(&mut world, "amq.topic", "k"), "a");
    world.on(1).publish_to("inner", "k", "m").hears(&["refused: InternalExchange { exchange: \"inner\" }"]);
}

/// It is the key of a row of a checkpoint, and keys have an end.
#[test]
fn a_binding_with_huge_arguments_is_refused() {
    let mut world = with_queues();
    let bind = |length: usize| {
        let mut arguments = Table::default();
        arguments.insert(name("note"), Value::LongString(vec![b'x'; length].into()));
        Operation::BindQueue(binding("amq.direct", "key", "a", arguments))
    };
    let heard = world.on(1).operate(bind(70_000)).take_heard();
    assert!(heard[0].contains("BindingTooLarge"), "{heard:?}");
    world.on(2).operate(bind(50_000)).deaf();
    world.checkpoint();
    assert_eq!(reached(&mut world, "amq.direct", "key"), "a");
}
