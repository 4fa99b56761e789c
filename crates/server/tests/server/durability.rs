//! What is confirmed survives.

use amqp_wire::basic;

use crate::support::{Fresh, consume, declare, expect_confirm, publish};

const COUNT: u64 = 500;

#[test]
fn confirmed_messages_survive_a_kill_in_order() {
    let mut fresh = Fresh::start();
    let mut publisher = fresh.publisher();
    declare(&mut publisher, "kept", true);
    declare(&mut publisher, "lost", false);
    for number in 0..COUNT {
        publish(&mut publisher, "kept", true, number.to_string().as_bytes());
        publish(&mut publisher, "lost", true, b"queue is transient");
        publish(&mut publisher, "kept", false, b"message is transient");
    }
    expect_confirm(&mut publisher, 3 * COUNT);
    fresh.server.kill().unwrap();
    fresh.server.restart().unwrap();

    let mut consumer = fresh.client();
    assert_eq!(declare(&mut consumer, "kept", true), COUNT as u32);
    assert_eq!(declare(&mut consumer, "lost", false), 0);
    consume(&mut consumer, "kept", false);
    for number in 0..COUNT {
        let (_, content) = consumer.expect_delivery(1).unwrap();
        assert_eq!(content.body, number.to_string().as_bytes());
    }
}

#[test]
fn an_orderly_stop_keeps_messages_and_acknowledgements() {
    let mut fresh = Fresh::start();
    let mut client = fresh.publisher();
    declare(&mut client, "work", true);
    for number in 0..10 {
        publish(&mut client, "work", true, &[number]);
    }
    expect_confirm(&mut client, 10);
    consume(&mut client, "work", false);
    for _ in 0..10 {
        client.expect_delivery(1).unwrap();
    }
    client.send(1, basic::Ack { delivery_tag: 4, multiple: true }).unwrap();
    let stopped = std::thread::spawn(move || {
        // Answers the goodbye, as clients do.
        let close: amqp_wire::connection::Close = client.expect(0).unwrap();
        client.send(0, amqp_wire::connection::CloseOk {}).unwrap();
        (close.reply_code, close.reply_text.to_string())
    });
    assert!(fresh.server.terminate().unwrap().success());
    let (code, text) = stopped.join().unwrap();
    assert_eq!(code, 320);
    assert_eq!(text, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
    fresh.server.restart().unwrap();

    let mut client = fresh.client();
    assert_eq!(declare(&mut client, "work", true), 6);
    consume(&mut client, "work", false);
    for number in 4..10 {
        let (delivery, content) = client.expect_delivery(1).unwrap();
        assert_eq!((content.body.as_slice(), delivery.redelivered), ([number].as_slice(), true));
    }
}
