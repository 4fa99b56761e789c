//! Channels open, close, and are closed.

use amqp::{ReplyCode, Settings};
use amqp_wire::{FrameKind, basic, channel, connection, queue};
use broker::{Answer, Effect, Envelope, Operation, Refusal, Resource};

use crate::support::{
    Conversation, HEADER, Read, capable, frame, header_frame, method_frame, name, open_vhost, publish_frames,
    start_ok, tune_ok,
};

fn close() -> channel::Close {
    channel::Close { reply_code: 200, reply_text: name("done"), class_id: 0, method_id: 0 }
}

fn passive(queue: &str) -> queue::Declare {
    queue::Declare { queue: name(queue), passive: true, ..Default::default() }
}

fn missing(queue: &str) -> Refusal {
    Refusal::NotFound(Resource::Queue(name(queue)))
}

fn close_of_missing() -> channel::Close {
    let reply_text = name("NOT_FOUND - no queue 'q' in vhost '/'");
    channel::Close { reply_code: 404, reply_text, class_id: 50, method_id: 10 }
}

#[test]
fn a_close_is_answered_when_the_broker_has_let_go() {
    let mut talk = Conversation::with_channel();
    talk.send(1, close());
    let (tag, operation) = talk.asked(1);
    assert!(matches!(operation, Operation::CloseSession));
    talk.answer(1, tag, Answer::SessionClosed);
    talk.expect(1, channel::CloseOk {});
    talk.open_channel(1);
}

#[test]
fn a_refusal_closes_the_channel_and_names_the_method() {
    let mut talk = Conversation::with_channel();
    talk.send(1, passive("q"));
    let (tag, _) = talk.asked(1);
    talk.refuse(1, tag, missing("q"));
    let text = "NOT_FOUND - no queue 'q' in vhost '/'";
    talk.expect_channel_close(1, ReplyCode::NotFound, text, (50, 10));

    talk.send(1, passive("other"));
    talk.send_bytes(&publish_frames(1, 4096, "q", &[0, 0], b"body"));
    talk.send_bytes(&header_frame(1, 1, &[0, 0]));
    assert!(talk.commands.is_empty());

    talk.send(1, channel::CloseOk {});
    assert!(matches!(talk.asked(1).1, Operation::CloseSession));
    assert_eq!(talk.reads(), []);
    talk.open_channel(1);
}

#[test]
fn a_refusal_leaves_other_channels_alone() {
    let mut talk = Conversation::with_channel();
    talk.open_channel(2);
    talk.send(1, passive("q"));
    let (tag, _) = talk.asked(1);
    talk.refuse(1, tag, missing("q"));
    talk.output.clear();
    talk.send(2, passive("q"));
    let (tag, _) = talk.asked(2);
    talk.answer(2, tag, Answer::QueueDeclared { name: name("q"), messages: 3, consumers: 1 });
    talk.expect(2, queue::DeclareOk { queue: name("q"), message_count: 3, consumer_count: 1 });
}

#[test]
fn no_wait_silences_answers_but_not_refusals() {
    let mut talk = Conversation::with_channel();
    talk.send(1, queue::Declare { no_wait: true, ..passive("q") });
    let (tag, _) = talk.asked(1);
    talk.answer(1, tag, Answer::QueueDeclared { name: name("q"), messages: 0, consumers: 0 });
    assert_eq!(talk.reads(), []);
    talk.refuse(1, tag, missing("q"));
    talk.expect(1, close_of_missing());
}

#[test]
fn a_close_that_meets_ours_is_answered() {
    let mut talk = Conversation::with_channel();
    talk.send(1, passive("q"));
    let (tag, _) = talk.asked(1);
    talk.refuse(1, tag, missing("q"));
    talk.output.clear();
    talk.send(1, close());
    talk.expect(1, channel::CloseOk {});
    talk.send(1, channel::CloseOk {});
    talk.asked(1);
    talk.open_channel(1);
}

#[test]
fn a_refusal_that_meets_the_clients_close_is_told_first() {
    let mut talk = Conversation::with_channel();
    talk.send(1, passive("q"));
    talk.send(1, close());
    let asked = talk.all_asked(1);
    talk.refuse(1, asked[0].0, missing("q"));
    talk.answer(1, asked[1].0, Answer::SessionClosed);
    let expected = [Read::Method(1, close_of_missing().into()), Read::Method(1, channel::CloseOk {}.into())];
    assert_eq!(talk.reads(), expected);

    talk.send(1, channel::CloseOk {});
    assert_eq!((talk.reads(), talk.commands.len()), (vec![], 0));
    talk.open_channel(1);
}

#[test]
fn late_methods_of_a_closed_channel_are_ignored() {
    let mut talk = Conversation::with_channel();
    talk.send(1, close());
    talk.asked(1);
    talk.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    talk.send(1, close());
    assert_eq!((talk.reads(), talk.commands.len()), (vec![], 0));
}

#[test]
fn a_number_may_be_used_again_before_the_close_is_answered() {
    let mut talk = Conversation::with_channel();
    talk.send(1, close());
    talk.send(1, channel::Open {});
    talk.send(1, passive("q"));
    let asked = talk.all_asked(1);
    let [(closed, Operation::CloseSession), (opened, Operation::OpenSession), (declared, _)] =
        asked.as_slice()
    else {
        panic!("{asked:?}");
    };
    // Of the first channel of that number: nobody waits for it any more.
    talk.tell(1, Effect::Confirmed { up_to: 9 });
    assert_eq!(talk.reads(), []);
    talk.answer(1, *closed, Answer::SessionClosed);
    talk.answer(1, *opened, Answer::SessionOpened);
    talk.refuse(1, *declared, missing("q"));
    let expected = [
        Read::Method(1, channel::CloseOk {}.into()),
        Read::Method(1, channel::OpenOk {}.into()),
        Read::Method(1, close_of_missing().into()),
    ];
    assert_eq!(talk.reads(), expected);
}

#[test]
fn effects_of_a_channel_that_is_gone_are_dropped_but_counted_as_sent() {
    let mut talk = Conversation::with_channel();
    let message = Envelope::new(b"", b"q", &[0, 0], b"body");
    let stored_bytes = message.stored_bytes() as u64;
    let delivery =
        Effect::Deliver { consumer_tag: name("c"), delivery_tag: 1, redelivered: false, task: None, message };
    talk.tell(9, delivery);
    assert_eq!(talk.reads(), []);
    assert_eq!(talk.connection.take_delivered_bytes(), stored_bytes);
    assert_eq!(talk.connection.take_delivered_bytes(), 0);
}

#[test]
fn a_channel_is_opened_once() {
    let mut talk = Conversation::with_channel();
    talk.send(1, channel::Open {});
    talk.expect_connection_close(
        ReplyCode::ChannelError,
        "CHANNEL_ERROR - second 'channel.open' seen",
        (20, 10),
    );
}

#[test]
fn a_channel_begins_with_its_opening() {
    for (method, ids) in [
        (amqp_wire::Method::from(passive("q")), (50, 10)),
        (basic::Publish::default().into(), (60, 40)),
        (close().into(), (20, 40)),
    ] {
        let mut talk = Conversation::started();
        talk.send(1, method);
        talk.expect_connection_close(ReplyCode::ChannelError, "CHANNEL_ERROR - expected 'channel.open'", ids);
    }
}

#[test]
fn content_on_a_channel_that_is_not_open_is_unexpected() {
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    for content in [header_frame(1, 1, &[0, 0]), frame(FrameKind::Body, 1, b"x")] {
        let mut talk = Conversation::started();
        talk.send_bytes(&content);
        talk.expect_connection_close(ReplyCode::UnexpectedFrame, text, (0, 0));
    }
}

#[test]
fn a_close_ok_that_nobody_waits_for_is_ignored() {
    let mut talk = Conversation::started();
    talk.send(1, channel::CloseOk {});
    assert_eq!((talk.reads(), talk.commands.len()), (vec![], 0));
}

#[test]
fn no_more_channels_than_agreed() {
    let mut talk = Conversation::with(Settings::default());
    talk.send_bytes(HEADER);
    talk.send(0, connection::StartOk { client_properties: capable(), ..start_ok() });
    talk.log_in();
    talk.send(0, connection::TuneOk { channel_max: 2, ..tune_ok(0) });
    talk.send(0, open_vhost());
    talk.enter_vhost();
    talk.output.clear();
    // Only the count matters, not the numbers.
    talk.open_channel(65_535);
    talk.open_channel(3);
    talk.send(1, channel::Open {});
    let text = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)";
    talk.expect_connection_close(ReplyCode::NotAllowed, text, (0, 0));
}

#[test]
fn channels_interleave() {
    let mut talk = Conversation::with_channel();
    talk.open_channel(2);
    let one = publish_frames(1, 4096, "one", &[0, 0], b"1111");
    let two = publish_frames(2, 4096, "two", &[0, 0], b"2222");
    let method_bytes = one.len() - header_frame(1, 4, &[0, 0]).len() - 4 - 8;
    let header_end = method_bytes + header_frame(1, 4, &[0, 0]).len();
    let parts = [
        &one[..method_bytes],
        &two[..method_bytes],
        &two[method_bytes..header_end],
        &one[method_bytes..header_end],
        &one[header_end..],
        &two[header_end..],
    ];
    talk.send_bytes(&parts.concat());
    let bodies: Vec<_> = talk
        .commands
        .iter()
        .map(|command| match command {
            broker::Command::Session { session, operation: Operation::Publish(publish), .. } => {
                (session.channel, publish.envelope.routing_key().to_vec(), publish.envelope.body().to_vec())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [(1, b"one".to_vec(), b"1111".to_vec()), (2, b"two".to_vec(), b"2222".to_vec())]);
}

#[test]
fn answers_of_one_read_share_one_output() {
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&[method_frame(1, passive("a")), method_frame(1, passive("b"))].concat());
    for (tag, _) in talk.all_asked(1) {
        talk.answer(1, tag, Answer::QueueDeclared { name: name("x"), messages: 0, consumers: 0 });
    }
    assert_eq!(talk.reads().len(), 2);
}
