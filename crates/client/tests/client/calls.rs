//! Calls: a task out, its result back.

use std::thread;
use std::time::Duration;

use amqp_wire::{Properties, ShortString, Table, Value, basic};
use forebay_client::{CallError, Client, Task, TaskType};
use serde::{Deserialize, Serialize};

use crate::scripted_broker::{Conversation, Said, ScriptedBroker};

#[derive(Serialize, Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

impl TaskType for Add {
    const NAME: &'static str = "add";
    const QUEUE: &'static str = "sums";
    type Output = i64;
}

fn answer(client: &mut Conversation, call: &Said, headers: &[(&'static str, Value)], body: &[u8]) {
    let headers: Table =
        headers.iter().map(|(name, value)| (ShortString::from_static(name), value.clone())).collect();
    let correlation_id = call.properties.correlation_id.clone();
    let properties = Properties { correlation_id, headers: Some(headers), ..Properties::default() };
    client.deliver(2, "replies", 1, &properties, body);
}

#[tokio::test]
async fn a_call_says_what_the_broker_needs_and_takes_the_answer() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut client = broker.accept(0);
        let consume: basic::Consume = client.expect(2);
        assert!(consume.no_ack && consume.queue == "amq.rabbitmq.reply-to");
        let call = client.expect_publishes(2, 1).remove(0);
        assert_eq!(call.get::<basic::Publish>().unwrap().routing_key, "sums");
        assert_eq!(call.text(), r#"{"a":2,"b":3}"#);
        let properties = &call.properties;
        assert_eq!(properties.kind.as_ref().unwrap(), &"add");
        assert_eq!(properties.reply_to.as_ref().unwrap(), &"amq.rabbitmq.reply-to");
        assert_eq!(properties.content_type.as_ref().unwrap(), &"application/json");
        assert!(call.header("x-idempotency-key").is_some());
        // The answer may overtake the confirm.
        answer(&mut client, &call, &[], b"5");
        client.ack(2, 1, false);
        client.expect_goodbye();
    });
    let client = Client::connect(&url).await.unwrap();
    assert_eq!(client.call(Add { a: 2, b: 3 }).await.unwrap(), 5);
    client.close().await;
    script.join().unwrap();
}

#[tokio::test]
async fn a_call_that_waits_is_sent_again_with_the_same_key() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut first = broker.accept(0);
        let before = first.expect_publishes(2, 1).remove(0);
        // Confirmed: the task is durable, but the address for its answer goes with the connection.
        first.ack(2, 1, false);
        thread::sleep(Duration::from_millis(50));
        first.cut();
        let mut second = broker.accept(0);
        let after = second.expect_publishes(2, 1).remove(0);
        assert_eq!(after.header("x-idempotency-key"), before.header("x-idempotency-key"));
        assert_eq!(after.properties, before.properties);
        second.ack(2, 1, false);
        answer(&mut second, &after, &[], b"5");
        second.expect_goodbye();
    });
    let client = Client::connect(&url).await.unwrap();
    assert_eq!(client.call(Add { a: 2, b: 3 }).await.unwrap(), 5);
    client.close().await;
    script.join().unwrap();
}

#[tokio::test]
async fn failures_and_lateness_are_told_apart() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut client = broker.accept(0);
        let failing = client.expect_publishes(2, 1).remove(0);
        client.ack(2, 1, false);
        let headers = [("x-error", Value::text("too large")), ("x-status", Value::I64(422))];
        answer(&mut client, &failing, &headers, b"{}");
        let unroutable = client.expect_publishes(2, 1).remove(0);
        client.send_back(&unroutable);
        client.ack(2, 2, false);
        let odd = client.expect_publishes(2, 1).remove(0);
        client.ack(2, 3, false);
        answer(&mut client, &odd, &[], b"\"five\"");
        let late = client.expect_publishes(2, 1).remove(0);
        client.ack(2, 4, false);
        thread::sleep(Duration::from_millis(150));
        // Nobody waits any more; the client goes on.
        answer(&mut client, &late, &[], b"5");
        let raw = client.expect_publishes(2, 1).remove(0);
        client.ack(2, 5, false);
        answer(&mut client, &raw, &[("x-status", Value::I64(201))], b"\x00\xff");
        client.expect_goodbye();
    });
    let client = Client::connect(&url).await.unwrap();
    let add = || client.call(Add { a: 2, b: 3 });
    let failed = add().await;
    assert!(
        matches!(&failed, Err(CallError::Failed { failure, .. }) if failure.title == "too large" && failure.status == 422),
        "{failed:?}"
    );
    let unroutable = add().await;
    assert!(matches!(&unroutable, Err(CallError::Unroutable { queue }) if queue == "sums"), "{unroutable:?}");
    assert!(matches!(add().await, Err(CallError::Decode { .. })));
    assert!(matches!(add().timeout(Duration::from_millis(50)).await, Err(CallError::Late { .. })));
    let reply = client.call_raw("bytes", Task::raw("image/png", "x")).await.unwrap();
    assert_eq!((reply.status, &reply.body[..]), (201, b"\x00\xff".as_slice()));
    client.close().await;
    script.join().unwrap();
}
