//! Goodbyes of connections.

use amqp::{ReplyCode, Status};
use amqp_wire::{channel, connection, queue};
use broker::{Answer, Timestamp};

use crate::support::{Conversation, HEADER, Read, method_frame, name, start_ok};

fn goodbye() -> connection::Close {
    connection::Close { reply_code: 200, reply_text: name("Bye"), class_id: 0, method_id: 0 }
}

/// The socket is the client's to close; one that does not is closed after three seconds.
fn closes_after_the_client(mut talk: Conversation) {
    assert_eq!(talk.connection.status(), Status::Closing);
    talk.wait(2_999);
    assert_eq!(talk.connection.status(), Status::Closing);
    talk.wait(1);
    assert_eq!((talk.connection.status(), talk.reads()), (Status::Close, vec![]));
}

#[test]
fn a_goodbye_is_answered_when_the_broker_has_let_go() {
    let mut talk = Conversation::with_channel();
    talk.send(0, goodbye());
    talk.expect_disconnect();
    assert_eq!((talk.reads(), talk.connection.status()), (vec![], Status::Closing));
    talk.disconnected();
    talk.expect(0, connection::CloseOk {});
    closes_after_the_client(talk);
}

#[test]
fn what_follows_a_goodbye_is_ignored() {
    let mut talk = Conversation::with_channel();
    talk.send_bytes(
        &[method_frame(0, goodbye()), method_frame(1, queue::Declare::default()), vec![9; 9]].concat(),
    );
    talk.expect_disconnect();
    talk.disconnected();
    talk.expect(0, connection::CloseOk {});
}

#[test]
fn a_goodbye_before_the_vhost_is_open_is_answered_at_once() {
    let mut talk = Conversation::new();
    talk.send_bytes(HEADER);
    talk.output.clear();
    talk.send(0, goodbye());
    talk.expect(0, connection::CloseOk {});
    assert!(talk.commands.is_empty());
    closes_after_the_client(talk);
}

#[test]
fn a_shutdown_is_told() {
    let mut talk = Conversation::with_channel();
    talk.connection.shutdown(talk.now, &mut talk.commands, &mut talk.output);
    let text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
    talk.expect_connection_close(ReplyCode::ConnectionForced, text, (0, 0));
    talk.send(0, connection::CloseOk {});
    assert_eq!(talk.connection.status(), Status::Close);
}

#[test]
fn a_shutdown_cuts_off_who_is_still_shaking_hands() {
    let mut talk = Conversation::new();
    talk.send_bytes(HEADER);
    talk.output.clear();
    talk.connection.shutdown(talk.now, &mut talk.commands, &mut talk.output);
    assert_eq!((talk.connection.status(), talk.output.as_slice()), (Status::Close, b"".as_slice()));
    talk.send(0, start_ok());
    assert_eq!(talk.connection.take_request(), None);
}

#[test]
fn a_close_waits_thirty_seconds_or_a_heartbeat_for_its_answer() {
    let mut talk = Conversation::started();
    talk.connection.shutdown(talk.now, &mut talk.commands, &mut talk.output);
    assert_eq!(talk.connection.next_deadline(), Some(Timestamp(talk.now.0 + 30_000)));
    talk.wait(30_000);
    assert_eq!(talk.connection.status(), Status::Close);
}

#[test]
fn while_a_close_waits_all_else_is_thrown_away() {
    let mut talk = Conversation::with_channel();
    talk.connection.shutdown(talk.now, &mut talk.commands, &mut talk.output);
    talk.output.clear();
    talk.commands.clear();
    talk.send(1, queue::Declare::default());
    talk.answer(1, broker::RequestTag(0), Answer::PrefetchSet);
    assert_eq!((talk.reads(), talk.commands.len()), (vec![], 0));
    talk.send(0, goodbye());
    talk.expect(0, connection::CloseOk {});
    assert_eq!(talk.connection.status(), Status::Closing);
}

#[test]
fn a_lost_socket_is_told_to_the_broker_once() {
    let mut talk = Conversation::with_channel();
    talk.connection.lost(&mut talk.commands);
    talk.expect_disconnect();
    talk.connection.lost(&mut talk.commands);
    assert!(talk.commands.is_empty());
    talk.disconnected();
    assert_eq!((talk.reads(), talk.connection.status()), (vec![], Status::Close));
}

#[test]
fn a_socket_lost_before_the_vhost_is_open_concerns_nobody() {
    let mut talk = Conversation::new();
    talk.connection.lost(&mut talk.commands);
    assert!(talk.commands.is_empty());
}

#[test]
fn a_client_that_is_not_read_from_is_not_given_up() {
    let mut talk = Conversation::started();
    talk.connection.set_reading(talk.now, false);
    talk.wait(1_000_000);
    assert_eq!(talk.connection.status(), Status::Running);
    assert_eq!(talk.reads(), [Read::Heartbeat]);
}

#[test]
fn methods_of_channels_have_no_place_on_channel_0() {
    let mut talk = Conversation::started();
    talk.send(0, channel::Open {});
    let text = "CHANNEL_ERROR - unexpected method in connection state running";
    talk.expect_connection_close(ReplyCode::ChannelError, text, (20, 10));
}
