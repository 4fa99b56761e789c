//! Publishes: what is checked, what the broker gets, how they are confirmed and returned.

use amqp::{ReplyCode, Settings, Status};
use amqp_wire::hot::{self, Content, Publication};
use amqp_wire::{FrameKind, Properties, Table, Value, basic, connection, tx};
use broker::{Effect, Envelope, Operation, Publish, Refusal};

use crate::support::{Conversation, Read, frame, header_frame, method_frame, name, publish_frames};

const PUBLISH: (u16, u16) = (60, 40);

fn published(talk: &mut Conversation) -> Publish {
    match talk.asked(1).1 {
        Operation::Publish(publish) => publish,
        other => panic!("no publish: {other:?}"),
    }
}

fn table(entries: &[(&str, Value)]) -> Table {
    entries.iter().map(|(key, value)| (name(key), value.clone())).collect()
}

#[test]
fn a_message_reaches_the_broker_as_it_was_sent() {
    let headers = table(&[("n", Value::I64(1))]);
    let properties =
        Properties { headers: Some(headers.clone()), delivery_mode: Some(2), ..Default::default() };
    let properties = properties.to_bytes();
    let mut bytes = Vec::new();
    let publication = Publication { exchange: b"logs", routing_key: b"a.b", mandatory: true };
    hot::publish(&mut bytes, 1, 4096, &publication, Content { properties: &properties, body: b"body" });

    let mut talk = Conversation::with_channel();
    talk.send_bytes(&bytes);
    let publish = published(&mut talk);
    assert_eq!(publish.envelope, Envelope::new(b"logs", b"a.b", &properties, b"body"));
    assert!(publish.mandatory && publish.persistent);
    let range = publish.headers.unwrap();
    let mut encoded = &publish.envelope.properties()[range.start as usize..range.end as usize];
    assert_eq!(Table::read(&mut encoded), Ok(headers));
    assert!(encoded.is_empty());
}

#[test]
fn a_message_without_properties_or_body_is_fine() {
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&publish_frames(1, 4096, "q", &[0, 0], b""));
    let publish = published(&mut talk);
    assert_eq!(publish.envelope, Envelope::new(b"", b"q", &[0, 0], b""));
    assert!(!publish.mandatory && !publish.persistent && publish.headers.is_none());
}

#[test]
fn a_message_in_one_read_is_not_copied() {
    let mut talk = Conversation::with_channel();
    talk.input.extend_from_slice(&publish_frames(1, 131_072, "q", &[0, 0], &[7; 1024]));
    let read = talk.input.as_ptr_range();
    talk.receive();
    assert!(read.contains(&published(&mut talk).envelope.body().as_ptr()));
}

#[test]
fn a_body_in_many_frames_is_put_together() {
    let body: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&publish_frames(1, 4096, "q", &[0, 0], &body));
    assert_eq!(published(&mut talk).envelope.body(), body);
}

#[test]
fn a_body_over_the_limit_is_read_to_its_end_and_refused() {
    let mut talk = Conversation::with_channel_of(Settings { message_bytes_max: 100, ..Settings::default() });
    talk.send_bytes(&publish_frames(1, 4096, "q", &[0, 0], &[7; 100]));
    assert_eq!(published(&mut talk).envelope.body().len(), 100);

    talk.send_bytes(&publish_frames(1, 60, "q", &[0, 0], &[7; 101]));
    talk.expect_own_refusal(1);
    let text = "PRECONDITION_FAILED - message size 101 is larger than configured max size 100";
    talk.expect_channel_close(1, ReplyCode::PreconditionFailed, text, PUBLISH);
}

/// Publishes with `properties`; the channel is closed with 406 for this reason.
fn check_refused(properties: Properties, explanation: &str) {
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&publish_frames(1, 4096, "q", &properties.to_bytes(), b"body"));
    talk.expect_own_refusal(1);
    let text = format!("PRECONDITION_FAILED - {explanation}");
    talk.expect_channel_close(1, ReplyCode::PreconditionFailed, &text, PUBLISH);
}

#[test]
fn properties_that_cannot_be_are_refused() {
    check_refused(
        Properties { expiration: Some(name("foo")), ..Default::default() },
        "invalid expiration 'foo': no_integer",
    );
    check_refused(
        Properties { user_id: Some(name("x")), ..Default::default() },
        "user_id property set to 'x' but authenticated user was 'guest'",
    );
    check_refused(
        Properties { headers: Some(table(&[("CC", Value::text("other"))])), ..Default::default() },
        "invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
    );
    check_refused(
        Properties { headers: Some(table(&[("BCC", Value::I64(1))])), ..Default::default() },
        "invalid message: {unacceptable_type_in_header,\"BCC\",long}",
    );
}

#[test]
fn the_exchange_of_a_refused_publish_is_told_to_the_broker() {
    let properties = Properties { user_id: Some(name("x")), ..Default::default() }.to_bytes();
    let publication = Publication { exchange: b"logs", routing_key: b"", mandatory: false };
    let mut bytes = Vec::new();
    hot::publish(&mut bytes, 1, 4096, &publication, Content { properties: &properties, body: b"" });
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&bytes);
    let (_, operation) = talk.asked(1);
    assert!(matches!(operation, Operation::RefusePublish { exchange, .. } if exchange == "logs"));
}

/// Begins a publish of 150 bytes on a channel and sends the first 100.
fn begin_body(talk: &mut Conversation, channel: u16) {
    talk.send(channel, basic::Publish::default());
    talk.send_bytes(&header_frame(channel, 150, &[0, 0]));
    talk.send_bytes(&frame(FrameKind::Body, channel, &[7; 100]));
}

fn with_channels_of_short_messages() -> Conversation {
    let mut talk = Conversation::with_channel_of(Settings { message_bytes_max: 150, ..Settings::default() });
    (2..=5).for_each(|channel| talk.open_channel(channel));
    talk
}

#[test]
fn unfinished_bodies_of_all_channels_are_bounded_together() {
    let mut talk = with_channels_of_short_messages();
    (1..=3).for_each(|channel| begin_body(&mut talk, channel));
    assert!(talk.reads().is_empty());
    begin_body(&mut talk, 4);
    let text = "RESOURCE_ERROR - unfinished messages of all channels hold 400 bytes, limit 300; \
                finish some before others";
    talk.expect_connection_close(ReplyCode::ResourceError, text, PUBLISH);
}

#[test]
fn finished_and_refused_bodies_no_longer_count_as_unfinished() {
    let mut talk = with_channels_of_short_messages();
    talk.send(2, tx::Commit {});
    let (commit, _) = talk.asked(2);
    (1..=3).for_each(|channel| begin_body(&mut talk, channel));
    talk.send_bytes(&frame(FrameKind::Body, 1, &[7; 50]));
    assert_eq!(published(&mut talk).envelope.body().len(), 150);
    begin_body(&mut talk, 4);
    talk.refuse(2, commit, Refusal::NotTransactional);
    begin_body(&mut talk, 5);
    assert_eq!(talk.connection.status(), Status::Running);
}

#[test]
fn properties_that_can_be_are_taken() {
    let properties = Properties {
        user_id: Some(name("guest")),
        expiration: Some(name("60000")),
        headers: Some(table(&[("CC", Value::Array(vec![Value::text("other")]))])),
        ..Default::default()
    };
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&publish_frames(1, 4096, "q", &properties.to_bytes(), b"body"));
    published(&mut talk);
}

#[test]
fn immediate_ends_the_connection() {
    let mut talk = Conversation::with_channel();
    talk.send(1, basic::Publish { immediate: true, ..Default::default() });
    talk.send_bytes(&header_frame(1, 0, &[0, 0]));
    talk.expect_own_refusal(1);
    talk.expect_connection_close(ReplyCode::NotImplemented, "NOT_IMPLEMENTED - immediate=true", PUBLISH);
}

#[test]
fn a_refused_publish_names_the_publish() {
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&publish_frames(1, 4096, "q", &[0, 0], b"body"));
    let (tag, _) = talk.asked(1);
    talk.refuse(1, tag, broker::Refusal::NotFound(broker::Resource::Exchange(name("x"))));
    talk.expect_channel_close(1, ReplyCode::NotFound, "NOT_FOUND - no exchange 'x' in vhost '/'", PUBLISH);
}

#[test]
fn confirms_of_several_are_multiple() {
    let mut talk = Conversation::with_channel();
    let confirmed = |delivery_tag, multiple| Read::Method(1, basic::Ack { delivery_tag, multiple }.into());
    for up_to in [1, 2, 10, 11] {
        talk.tell(1, Effect::Confirmed { up_to });
    }
    talk.tell(1, Effect::Rejected { sequence: 12 });
    talk.tell(1, Effect::Confirmed { up_to: 13 });
    talk.tell(1, Effect::Confirmed { up_to: 15 });
    let rejected = basic::Nack { delivery_tag: 12, multiple: false, requeue: false };
    let expected = [
        confirmed(1, false),
        confirmed(2, false),
        confirmed(10, true),
        confirmed(11, false),
        Read::Method(1, rejected.into()),
        confirmed(13, false),
        confirmed(15, true),
    ];
    assert_eq!(talk.reads(), expected);
}

#[test]
fn confirms_begin_anew_on_a_new_channel() {
    let mut talk = Conversation::with_channel();
    talk.open_channel(2);
    talk.tell(1, Effect::Confirmed { up_to: 5 });
    talk.tell(2, Effect::Confirmed { up_to: 1 });
    let expected = [
        Read::Method(1, basic::Ack { delivery_tag: 5, multiple: true }.into()),
        Read::Method(2, basic::Ack { delivery_tag: 1, multiple: false }.into()),
    ];
    assert_eq!(talk.reads(), expected);
}

#[test]
fn a_returned_message_is_whole() {
    let mut talk = Conversation::with_channel();
    talk.tell(1, Effect::Returned { envelope: Envelope::new(b"x", b"k", b"\x10\x00\x02", b"body") });
    let expected = basic::Return {
        reply_code: 312,
        reply_text: name("NO_ROUTE"),
        exchange: name("x"),
        routing_key: name("k"),
    };
    let properties = b"\x10\x00\x02".to_vec();
    let header = Read::Header { channel: 1, body_bytes: 4, properties };
    assert_eq!(talk.reads(), [Read::Method(1, expected.into()), header, Read::Body(1, b"body".to_vec())]);
}

#[test]
fn an_impersonator_may_use_any_name() {
    let mut talk = Conversation::new();
    talk.send_bytes(crate::support::HEADER);
    talk.send(0, crate::support::start_ok());
    talk.connection.take_request();
    talk.connection.authenticated(talk.now, Ok(amqp::Login { may_impersonate: true }), &mut talk.output);
    talk.send(0, crate::support::tune_ok(0));
    talk.send(0, crate::support::open_vhost());
    talk.enter_vhost();
    talk.output.clear();
    talk.open_channel(1);
    let properties = Properties { user_id: Some(name("x")), ..Default::default() };
    talk.send_bytes(&publish_frames(1, 4096, "q", &properties.to_bytes(), b""));
    published(&mut talk);
}

#[test]
fn a_publish_waits_for_all_of_its_frames() {
    let frames = publish_frames(1, 4096, "q", &[0, 0], b"body");
    let mut talk = Conversation::with_channel();
    for byte in &frames[..frames.len() - 1] {
        talk.send_bytes(std::slice::from_ref(byte));
        assert!(talk.commands.is_empty());
    }
    talk.send_bytes(&frames[frames.len() - 1..]);
    assert_eq!(published(&mut talk).envelope, Envelope::new(b"", b"q", &[0, 0], b"body"));
    assert!(talk.input.is_empty());
}

#[test]
fn methods_behind_a_publish_keep_their_order() {
    let ack = method_frame(1, basic::Ack { delivery_tag: 1, multiple: false });
    let publish = publish_frames(1, 4096, "q", &[0, 0], b"body");
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&[ack.clone(), publish.clone(), publish, ack].concat());
    let operations: Vec<_> = talk.all_asked(1).into_iter().map(|(_, operation)| operation).collect();
    assert!(matches!(
        operations.as_slice(),
        [Operation::Settle { .. }, Operation::Publish(_), Operation::Publish(_), Operation::Settle { .. }]
    ));
}

#[test]
fn a_full_disk_is_told_to_clients_that_understand_it() {
    let mut talk = Conversation::with_channel();
    talk.tell_connection(Effect::Blocked);
    talk.expect(0, connection::Blocked { reason: name("low on disk") });
    talk.tell_connection(Effect::Unblocked);
    talk.expect(0, connection::Unblocked {});

    let mut talk = Conversation::started_with(Settings::default(), Table::default());
    talk.tell_connection(Effect::Blocked);
    talk.tell_connection(Effect::Unblocked);
    assert_eq!(talk.reads(), []);
}

#[test]
fn a_transaction_without_room_names_what_is_needed_and_what_there_is() {
    let mut talk = Conversation::with_channel();
    talk.send(1, tx::Commit {});
    let (tag, _) = talk.asked(1);
    talk.refuse(1, tag, Refusal::NoRoom { needed_bytes: 900, room_bytes: 7, reserve_bytes: 1 << 20 });
    talk.expect_channel_close(
        1,
        ReplyCode::PreconditionFailed,
        "PRECONDITION_FAILED - the disk is full: 900 bytes are needed, 7 are left above the reserve of 1048576; nothing of \
         it is done, free some space or acknowledge messages, and try again",
        (90, 20),
    );
}
