//! Consumers, deliveries and their settlement, direct replies.

use amqp::{ReplyCode, Settings};
use amqp_wire::{Properties, Table, basic};
use broker::{Answer, Effect, Envelope, Operation, Outcome, Refusal, RequestTag};

use crate::support::{Conversation, Read, name, publish_frames};

const PROPERTIES: &[u8] = b"\x10\x00\x02";

fn message(body: &[u8]) -> Envelope {
    Envelope::new(b"x", b"k", PROPERTIES, body)
}

fn consume(queue: &str, tag: &str) -> basic::Consume {
    basic::Consume { queue: name(queue), consumer_tag: name(tag), ..Default::default() }
}

fn header(body_bytes: u64) -> Read {
    Read::Header { channel: 1, body_bytes, properties: PROPERTIES.to_vec() }
}

#[test]
fn a_consumer_starts_and_stops() {
    let mut talk = Conversation::with_channel();
    talk.send(1, basic::Consume { exclusive: true, no_ack: true, no_local: true, ..consume("q", "c") });
    let (tag, Operation::Consume(consume)) = talk.asked(1) else { panic!() };
    assert!(consume.queue == "q" && consume.tag == "c" && consume.exclusive && consume.no_ack);
    assert_eq!(consume.reply_address, None);
    talk.answer(1, tag, Answer::ConsumerStarted { tag: name("c") });
    talk.expect(1, basic::ConsumeOk { consumer_tag: name("c") });

    talk.send(1, basic::Cancel { consumer_tag: name("c"), no_wait: false });
    let (tag, operation) = talk.asked(1);
    assert!(matches!(operation, Operation::Cancel { tag } if tag == "c"));
    talk.answer(1, tag, Answer::ConsumerStopped { tag: name("c") });
    talk.expect(1, basic::CancelOk { consumer_tag: name("c") });
}

#[test]
fn an_empty_tag_is_made_up() {
    let mut talk = Conversation::with_channel();
    talk.send(1, consume("q", ""));
    let (_, Operation::Consume(consume)) = talk.asked(1) else { panic!() };
    assert!(consume.tag.starts_with(b"amq.ctag-") && consume.tag.len() == 31, "{}", consume.tag);
}

#[test]
fn a_tag_that_is_taken_ends_the_connection() {
    let mut talk = Conversation::with_channel();
    talk.send(1, consume("q", "c"));
    let (tag, _) = talk.asked(1);
    talk.refuse(1, tag, Refusal::ConsumerTagInUse { tag: name("c") });
    let text = "NOT_ALLOWED - attempt to reuse consumer tag 'c'";
    talk.expect_connection_close(ReplyCode::NotAllowed, text, (60, 20));
}

#[test]
fn a_delivery_is_method_header_and_body() {
    let mut talk = Conversation::with_channel();
    let delivery = |body: &[u8]| Effect::Deliver {
        consumer_tag: name("c"),
        delivery_tag: 7,
        redelivered: true,
        task: None,
        message: message(body),
    };
    talk.tell(1, delivery(b"body"));
    let expected = basic::Deliver {
        consumer_tag: name("c"),
        delivery_tag: 7,
        redelivered: true,
        exchange: name("x"),
        routing_key: name("k"),
    };
    let method = Read::Method(1, expected.into());
    assert_eq!(talk.reads(), [method.clone(), header(4), Read::Body(1, b"body".to_vec())]);
    assert_eq!(talk.connection.take_delivered_bytes(), message(b"body").stored_bytes() as u64);

    talk.tell(1, delivery(b""));
    assert_eq!(talk.reads(), [method.clone(), header(0)]);

    let large = vec![7; 131_064 + 1];
    talk.tell(1, delivery(&large));
    let parts = [Read::Body(1, vec![7; 131_064]), Read::Body(1, vec![7; 1])];
    assert_eq!(talk.reads(), [vec![method, header(131_065)], parts.to_vec()].concat());
}

#[test]
fn get_brings_a_message_or_none() {
    let mut talk = Conversation::with_channel();
    talk.send(1, basic::Get { queue: name("q"), no_ack: true });
    let (request, operation) = talk.asked(1);
    assert!(matches!(operation, Operation::Get { queue, no_ack: true } if queue == "q"));
    let message = message(b"body");
    talk.tell(
        1,
        Effect::Got { request, delivery_tag: 1, redelivered: false, remaining: 3, task: None, message },
    );
    let expected = basic::GetOk {
        delivery_tag: 1,
        redelivered: false,
        exchange: name("x"),
        routing_key: name("k"),
        message_count: 3,
    };
    assert_eq!(talk.reads(), [Read::Method(1, expected.into()), header(4), Read::Body(1, b"body".to_vec())]);

    talk.answer(1, request, Answer::GetEmpty);
    talk.expect(1, basic::GetEmpty {});
}

#[test]
fn settlements_reach_the_broker() {
    let mut talk = Conversation::with_channel();
    let mut check = |method: amqp_wire::Method, tag: u64, is_multiple: bool, becomes: Outcome| {
        talk.send(1, method);
        let (_, operation) = talk.asked(1);
        let Operation::Settle { delivery_tag, multiple, outcome } = operation else {
            panic!("{operation:?}")
        };
        assert_eq!((delivery_tag, multiple, outcome), (tag, is_multiple, becomes));
    };
    check(basic::Ack { delivery_tag: 5, multiple: true }.into(), 5, true, Outcome::Acknowledged);
    check(basic::Reject { delivery_tag: 6, requeue: true }.into(), 6, false, Outcome::Requeued);
    check(basic::Reject { delivery_tag: 6, requeue: false }.into(), 6, false, Outcome::Discarded);
    check(basic::Nack { delivery_tag: 0, multiple: true, requeue: true }.into(), 0, true, Outcome::Requeued);
    check(
        basic::Nack { delivery_tag: 8, multiple: false, requeue: false }.into(),
        8,
        false,
        Outcome::Discarded,
    );
}

#[test]
fn an_unknown_delivery_tag_names_the_ack() {
    let mut talk = Conversation::with_channel();
    talk.send(1, basic::Ack { delivery_tag: 5, multiple: false });
    let (tag, _) = talk.asked(1);
    talk.refuse(1, tag, Refusal::UnknownDeliveryTag { delivery_tag: 5 });
    let text = "PRECONDITION_FAILED - unknown delivery tag 5";
    talk.expect_channel_close(1, ReplyCode::PreconditionFailed, text, (60, 80));
}

#[test]
fn a_lost_consumer_is_told_to_clients_that_want_it() {
    let cancelled = || Effect::ConsumerCancelled { consumer_tag: name("c") };
    let mut talk = Conversation::with_channel();
    talk.tell(1, cancelled());
    talk.expect(1, basic::Cancel { consumer_tag: name("c"), no_wait: true });
    talk.send(1, basic::CancelOk { consumer_tag: name("c") });
    assert_eq!((talk.reads(), talk.commands.len()), (vec![], 0));

    let mut talk = Conversation::started_with(Settings::default(), Table::default());
    talk.open_channel(1);
    talk.tell(1, cancelled());
    assert_eq!(talk.reads(), []);
}

/// A channel that waits for direct replies, and its address.
fn with_reply_consumer() -> (Conversation, amqp_wire::ShortString) {
    let mut talk = Conversation::with_channel();
    talk.send(1, basic::Consume { no_ack: true, ..consume("amq.rabbitmq.reply-to", "r") });
    let (_, Operation::Consume(consume)) = talk.asked(1) else { panic!() };
    (talk, consume.reply_address.expect("an address for replies"))
}

fn publish_with_reply_to(talk: &mut Conversation, reply_to: &str) -> (RequestTag, Operation) {
    let properties =
        Properties { reply_to: Some(name(reply_to)), delivery_mode: Some(2), ..Default::default() };
    talk.send_bytes(&publish_frames(1, 4096, "rpc", &properties.to_bytes(), b"question"));
    talk.asked(1)
}

#[test]
fn a_question_carries_the_address_of_its_channel() {
    let (mut talk, address) = with_reply_consumer();
    assert!(address.starts_with(b"amq.rabbitmq.reply-to.") && address.len() == 44, "{address}");

    let (_, Operation::Publish(publish)) = publish_with_reply_to(&mut talk, "amq.rabbitmq.reply-to") else {
        panic!()
    };
    let properties = Properties::decode(publish.envelope.properties()).unwrap();
    assert_eq!((properties.reply_to, properties.delivery_mode), (Some(address), Some(2)));
    assert_eq!((publish.envelope.routing_key(), publish.envelope.body()), (&b"rpc"[..], &b"question"[..]));
    assert!(publish.persistent);

    let (_, Operation::Publish(publish)) = publish_with_reply_to(&mut talk, "my.queue") else { panic!() };
    let properties = Properties::decode(publish.envelope.properties()).unwrap();
    assert_eq!(properties.reply_to, Some(name("my.queue")));
}

#[test]
fn a_question_without_a_consumer_for_its_answer_is_refused() {
    let (mut talk, _) = with_reply_consumer();
    talk.send(1, basic::Cancel { consumer_tag: name("r"), no_wait: true });
    talk.asked(1);
    let (tag, operation) = publish_with_reply_to(&mut talk, "amq.rabbitmq.reply-to");
    let Operation::RefusePublish { refusal, .. } = operation else { panic!("no refusal: {operation:?}") };
    talk.refuse(1, tag, *refusal);
    let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
    talk.expect_channel_close(1, ReplyCode::PreconditionFailed, text, (60, 40));
}

#[test]
fn a_reply_is_a_delivery() {
    let (mut talk, address) = with_reply_consumer();
    let envelope = Envelope::new(b"", &address, PROPERTIES, b"answer");
    talk.tell(1, Effect::Replied { consumer_tag: name("r"), delivery_tag: 1, envelope });
    let expected = basic::Deliver {
        consumer_tag: name("r"),
        delivery_tag: 1,
        redelivered: false,
        exchange: name(""),
        routing_key: address,
    };
    assert_eq!(
        talk.reads(),
        [Read::Method(1, expected.into()), header(6), Read::Body(1, b"answer".to_vec())]
    );
}
