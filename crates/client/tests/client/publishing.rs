//! Publishing, when all goes well and when it does not.

use std::thread;
use std::time::Duration;

use amqp_wire::basic;
use forebay_client::{Client, ConnectError, Message, PublishError};

use crate::scripted_broker::ScriptedBroker;

fn spawn_publish(client: &Client, body: &'static str) -> tokio::task::JoinHandle<Result<(), PublishError>> {
    let client = client.clone();
    tokio::spawn(async move { client.publish("", "q", Message::new(body)).await })
}

/// Publishes so that the order of sending is the order of `bodies`.
async fn publish_all(
    client: &Client,
    bodies: &[&'static str],
) -> Vec<tokio::task::JoinHandle<Result<(), PublishError>>> {
    let mut publishes = Vec::new();
    for body in bodies {
        publishes.push(spawn_publish(client, body));
        tokio::task::yield_now().await;
    }
    publishes
}

#[tokio::test]
async fn a_publish_is_done_when_the_broker_says_so() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut client = broker.accept(0);
        let said = client.expect_publishes(1, 3);
        client.send_back(&said[1]);
        client.ack(1, 2, false);
        client.send(1, basic::Nack { delivery_tag: 3, ..Default::default() });
        thread::sleep(Duration::from_millis(50));
        client.ack(1, 1, false);
        client.expect_goodbye();
    });
    let client = Client::connect(&url).await.unwrap();
    let mut publishes = publish_all(&client, &["good", "lost", "full"]).await;
    let full = publishes.pop().unwrap().await.unwrap();
    let lost = publishes.pop().unwrap().await.unwrap();
    assert_eq!(full, Err(PublishError::Nacked));
    assert!(matches!(lost, Err(PublishError::Unroutable { code: 312, .. })), "{lost:?}");
    assert!(!publishes[0].is_finished(), "it is not confirmed yet");
    publishes.pop().unwrap().await.unwrap().unwrap();
    client.close().await;
    script.join().unwrap();
    assert_eq!(client.publish("", "q", Message::new("")).await, Err(PublishError::Closed));
}

#[tokio::test]
async fn what_is_unconfirmed_is_sent_again_in_order_after_a_reconnect() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut first = broker.accept(0);
        let before = first.expect_publishes(1, 3);
        first.ack(1, 2, false);
        // Time for the confirm to arrive before the end does.
        thread::sleep(Duration::from_millis(50));
        first.cut();
        let mut second = broker.accept(0);
        let after = second.expect_publishes(1, 2);
        assert_eq!((after[0].text(), after[1].text()), ("a".into(), "c".into()));
        assert_eq!(after[0].properties.message_id, before[0].properties.message_id);
        second.ack(1, 2, true);
        second.expect_goodbye();
    });
    let client = Client::connect(&url).await.unwrap();
    for publish in publish_all(&client, &["a", "b", "c"]).await {
        publish.await.unwrap().unwrap();
    }
    client.close().await;
    script.join().unwrap();
}

#[tokio::test]
async fn a_refused_exchange_fails_its_own_publish_alone() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut client = broker.accept(0);
        client.expect_publishes(1, 2);
        client.close_channel(1, 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'");
        let again = client.expect_publishes(1, 1);
        assert_eq!(again[0].text(), "good");
        client.ack(1, 1, false);
        client.expect_goodbye();
    });
    let client = Client::connect(&url).await.unwrap();
    let good = spawn_publish(&client, "good");
    tokio::task::yield_now().await;
    let refused = client.publish("nowhere", "q", Message::new("bad")).await;
    assert!(matches!(refused, Err(PublishError::Refused { code: 404, .. })), "{refused:?}");
    good.await.unwrap().unwrap();
    client.close().await;
    script.join().unwrap();
}

#[tokio::test]
async fn no_more_than_the_bound_is_under_way() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut client = broker.accept(0);
        client.expect_publishes(1, 2);
        client.hear_nothing_for(Duration::from_millis(100));
        client.ack(1, 1, false);
        client.expect_publishes(1, 1);
        client.ack(1, 3, true);
        client.expect_goodbye();
    });
    let client = Client::builder().in_flight_max(2).connect(&url).await.unwrap();
    for publish in publish_all(&client, &["a", "b", "c"]).await {
        publish.await.unwrap().unwrap();
    }
    client.close().await;
    script.join().unwrap();
}

#[tokio::test]
async fn closing_waits_for_confirms_and_then_gives_up() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut client = broker.accept(0);
        client.expect_publishes(1, 2);
        client.ack(1, 1, false);
        client.expect_goodbye();
    });
    let client = Client::builder().close_timeout(Duration::from_millis(200)).connect(&url).await.unwrap();
    let mut publishes = publish_all(&client, &["a", "b"]).await;
    // Both have to be on their way before the end begins.
    publishes.remove(0).await.unwrap().unwrap();
    client.close().await;
    assert_eq!(publishes.remove(0).await.unwrap(), Err(PublishError::Closed));
    script.join().unwrap();
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let url = ScriptedBroker::listen().url();
    let error = Client::connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}
