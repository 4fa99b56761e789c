//! Bytes that are not what they should be.

use amqp::{ReplyCode, Status};
use amqp_wire::{FrameKind, MethodArguments, basic, queue};
use broker::{Operation, Timestamp};

use crate::support::{Conversation, Read, frame, header_frame, id, method_frame, name, publish_frames};

const PUBLISH: (u16, u16) = (60, 40);

/// The client of an open channel sends `bytes`; the connection ends for this reason.
fn check(bytes: &[u8], code: ReplyCode, explanation: &str, method: (u16, u16)) -> Conversation {
    let mut talk = Conversation::with_channel();
    talk.send_bytes(bytes);
    talk.expect_connection_close(code, &format!("{} - {explanation}", code.name()), method);
    talk
}

#[test]
fn a_frame_that_is_too_large() {
    let oversize = [3_u8, 0, 1, 0, 2, 0, 1];
    let text = "type 3, all octets = <<>>: {frame_too_large,131073,131064}";
    let mut talk = check(&oversize, ReplyCode::FrameError, text, (0, 0));
    // Nothing behind it can be understood, not even the answer.
    talk.send(0, amqp_wire::connection::CloseOk {});
    assert_eq!((talk.connection.status(), talk.input.len()), (Status::Closing, 0));
    assert_eq!(talk.connection.next_deadline(), Some(Timestamp(talk.now.0 + 3000)));
    talk.wait(3000);
    assert_eq!(talk.connection.status(), Status::Close);
}

#[test]
fn eight_bytes_over_the_frame_size_are_tolerated() {
    let mut talk = Conversation::with_channel();
    let body = vec![7; 131_072];
    let publish = [
        method_frame(1, basic::Publish { routing_key: name("q"), ..Default::default() }),
        header_frame(1, 131_072, &[0, 0]),
        frame(FrameKind::Body, 1, &body),
    ];
    talk.send_bytes(&publish.concat());
    assert!(matches!(talk.asked(1).1, Operation::Publish(publish) if publish.envelope.body() == body));
}

#[test]
fn a_frame_with_a_wrong_end() {
    let mut bytes = frame(FrameKind::Method, 1, b"abcd");
    *bytes.last_mut().unwrap() = 0;
    let text = "type 1, all octets = <<\"abcd\">>: {invalid_frame_end_marker,0}";
    check(&bytes, ReplyCode::FrameError, text, (0, 0));
}

#[test]
fn what_came_before_a_broken_frame_counts() {
    let ack = method_frame(1, basic::Ack { delivery_tag: 1, multiple: false });
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&[ack, vec![9; 7]].concat());
    assert!(matches!(talk.commands[0], broker::Command::Session { operation: Operation::Settle { .. }, .. }));
    talk.commands.remove(0);
    talk.expect_disconnect();
}

#[test]
fn a_frame_of_an_unknown_type() {
    let text = "type 4, all octets = <<>>: unknown_frame";
    check(&[4, 0, 1, 0, 0, 0, 0], ReplyCode::FrameError, text, (0, 0));
}

#[test]
fn heartbeats_out_of_place() {
    let text = "type 8, all octets = <<>>";
    check(&frame(FrameKind::Heartbeat, 1, b""), ReplyCode::UnexpectedFrame, text, (0, 0));
    let text = "type 8, all octets = <<\"x\">>: unknown_frame";
    check(&frame(FrameKind::Heartbeat, 0, b"x"), ReplyCode::FrameError, text, (0, 0));
}

#[test]
fn content_on_channel_0() {
    let text = "type 3, all octets = <<\"x\">>";
    check(&frame(FrameKind::Body, 0, b"x"), ReplyCode::UnexpectedFrame, text, (0, 0));
}

#[test]
fn methods_that_do_not_exist() {
    let text = "unknown method 60,99";
    check(&frame(FrameKind::Method, 1, &[0, 60, 0, 99]), ReplyCode::CommandInvalid, text, (60, 99));
    let text = "unknown method 99,1";
    check(&frame(FrameKind::Method, 0, &[0, 99, 0, 1]), ReplyCode::CommandInvalid, text, (99, 1));
    let text = "type 1, all octets = <<0,60>>: unknown_frame";
    check(&frame(FrameKind::Method, 1, &[0, 60]), ReplyCode::FrameError, text, (0, 0));
}

#[test]
fn arguments_that_do_not_parse() {
    let cut_off = frame(FrameKind::Method, 1, &[0, 50, 0, 10, 0, 0, 65]);
    check(&cut_off, ReplyCode::FrameError, "cannot decode <<0,0,65>>", (50, 10));
    let cut_off = frame(FrameKind::Method, 1, &[0, 60, 0, 80, 1]);
    check(&cut_off, ReplyCode::FrameError, "cannot decode <<1>>", (60, 80));
}

#[test]
fn tables_nested_without_end() {
    let mut arguments = Vec::new();
    for _ in 0..1000 {
        let mut outer = vec![1, b'a', b'F'];
        outer.extend_from_slice(&(arguments.len() as u32).to_be_bytes());
        outer.extend_from_slice(&arguments);
        arguments = outer;
    }
    let mut payload = vec![0, 50, 0, 10, 0, 0, 1, b'q', 0];
    payload.extend_from_slice(&(arguments.len() as u32).to_be_bytes());
    payload.extend_from_slice(&arguments);
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&frame(FrameKind::Method, 1, &payload));
    let reads = talk.reads();
    let [Read::Method(0, amqp_wire::Method::Connection(amqp_wire::connection::Method::Close(close)))] =
        reads.as_slice()
    else {
        panic!("{reads:?}");
    };
    assert_eq!((close.reply_code, close.class_id, close.method_id), (501, 50, 10));
    assert!(close.reply_text.starts_with(b"FRAME_ERROR - cannot decode <<0,0,1,113,0,"));
}

fn publish_method() -> Vec<u8> {
    method_frame(1, basic::Publish { routing_key: name("q"), ..Default::default() })
}

#[test]
fn frames_out_of_turn() {
    let (header, body) = (header_frame(1, 4, &[0, 0]), frame(FrameKind::Body, 1, b"body"));
    let text = "expected method frame, got non method frame instead";
    check(&header, ReplyCode::UnexpectedFrame, text, (0, 0));
    check(&body, ReplyCode::UnexpectedFrame, text, (0, 0));

    let text = "expected content header for class 60, got non content header frame instead";
    check(&[publish_method(), body.clone()].concat(), ReplyCode::UnexpectedFrame, text, PUBLISH);
    check(&[publish_method(), publish_method()].concat(), ReplyCode::UnexpectedFrame, text, PUBLISH);

    let text = "expected content body, got non content body frame instead";
    let methods = [publish_method(), header.clone(), method_frame(1, queue::Declare::default())];
    check(&methods.concat(), ReplyCode::UnexpectedFrame, text, PUBLISH);
    check(&[publish_method(), header.clone(), header].concat(), ReplyCode::UnexpectedFrame, text, PUBLISH);
}

#[test]
fn content_headers_that_cannot_be() {
    let with_header = |payload: &[u8]| [publish_method(), frame(FrameKind::Header, 1, payload)].concat();
    let text = "expected content header for class 60, got one for class 50 instead";
    check(
        &with_header(&[0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ReplyCode::UnexpectedFrame,
        text,
        PUBLISH,
    );
    let text = "expected content header for class 60, got non content header frame instead";
    check(
        &with_header(&[0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ReplyCode::UnexpectedFrame,
        text,
        PUBLISH,
    );
    let text = "content body size 536870913 exceeds maximum allowed size 536870912";
    let header = header_frame(1, 536_870_913, &[0, 0]);
    check(&[publish_method(), header].concat(), ReplyCode::FrameError, text, PUBLISH);
    let text = "type 2, all octets = <<0,60>>: unknown_frame";
    check(&with_header(&[0, 60]), ReplyCode::FrameError, text, (0, 0));
    let text = "1 bytes follow the last property";
    check(
        &with_header(&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
        ReplyCode::FrameError,
        text,
        PUBLISH,
    );
}

#[test]
fn more_body_than_announced() {
    let text = "content body frame exceeds remaining content size";
    let header = header_frame(1, 4, &[0, 0]);
    let body = frame(FrameKind::Body, 1, b"12345");
    check(&[publish_method(), header.clone(), body.clone()].concat(), ReplyCode::FrameError, text, PUBLISH);
    let part = frame(FrameKind::Body, 1, b"1");
    check(&[publish_method(), header, part, body].concat(), ReplyCode::FrameError, text, PUBLISH);
}

#[test]
fn a_broken_connection_is_not_listened_to() {
    let mut talk = Conversation::with_channel();
    talk.send_bytes(&frame(FrameKind::Method, 1, &[0, 60, 0, 99]));
    talk.output.clear();
    talk.commands.clear();
    talk.send_bytes(&publish_frames(1, 4096, "q", &[0, 0], b"body"));
    talk.send_bytes(&frame(FrameKind::Heartbeat, 1, b""));
    assert_eq!((talk.reads(), talk.commands.len()), (vec![], 0));
    talk.send(0, amqp_wire::connection::CloseOk {});
    assert_eq!(talk.connection.status(), Status::Close);
    assert_eq!(basic::Publish::SPEC.id, id(60, 40));
}
