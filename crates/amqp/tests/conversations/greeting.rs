//! From the protocol header to an open vhost.

use amqp::{LoginRefused, OpenRefusal, ReplyCode, Request, Settings, Status};
use amqp_wire::{FrameKind, Method, Table, Value, channel, connection};
use broker::Timestamp;

use crate::support::{
    Conversation, HEADER, Read, capable, frame, method_frame, name, open_vhost, start_ok, tune_ok,
};

#[test]
fn a_client_comes_through_the_handshake() {
    let mut talk = Conversation::new();
    talk.send_bytes(HEADER);
    let reads = talk.reads();
    let [Read::Method(0, Method::Connection(connection::Method::Start(start)))] = reads.as_slice() else {
        panic!("{reads:?}");
    };
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!((&*start.mechanisms, &*start.locales), (b"PLAIN AMQPLAIN".as_slice(), b"en_US".as_slice()));

    talk.send(0, start_ok());
    let Some(Request::Authenticate { mechanism: "PLAIN", user, password }) = talk.connection.take_request()
    else {
        panic!("a login is to be checked");
    };
    assert_eq!((user.as_str(), &*password), ("guest", b"guest".as_slice()));
    talk.connection.authenticated(talk.now, Ok(amqp::Login::default()), &mut talk.output);
    talk.expect(0, connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 });

    talk.send(0, tune_ok(0));
    talk.send(0, open_vhost());
    let expected = Request::OpenVhost { user: "guest".into(), vhost: name("/") };
    assert_eq!(talk.connection.take_request(), Some(expected));
    assert_eq!(talk.connection.status(), Status::Handshaking);
    talk.connection.vhost_opened(talk.now, Ok(()), &mut talk.output);
    talk.expect(0, connection::OpenOk {});
    assert_eq!(talk.connection.status(), Status::Running);
    assert!(talk.commands.is_empty());
}

#[test]
fn server_properties_have_the_types_that_strict_clients_want() {
    let mut talk = Conversation::new();
    talk.send_bytes(HEADER);
    let Read::Method(0, Method::Connection(connection::Method::Start(start))) = talk.reads().remove(0) else {
        panic!("no start");
    };
    let capabilities = start.server_properties.get(b"capabilities").and_then(Value::as_table).unwrap();
    for capability in ["publisher_confirms", "basic.nack", "direct_reply_to", "exchange_exchange_bindings"] {
        assert_eq!(capabilities.get(capability.as_bytes()), Some(&Value::Bool(true)), "{capability}");
    }
    assert_eq!(capabilities.len(), 9);
    for text in ["product", "version", "platform", "copyright", "information", "cluster_name"] {
        assert!(matches!(start.server_properties.get(text.as_bytes()), Some(Value::LongString(_))), "{text}");
    }
}

#[test]
fn the_old_header_of_0_9_is_taken_too() {
    let mut talk = Conversation::new();
    talk.send_bytes(b"AMQP\x01\x01\x00\x09");
    assert!(matches!(
        talk.reads().as_slice(),
        [Read::Method(0, Method::Connection(connection::Method::Start(_)))]
    ));
}

#[test]
fn other_protocols_are_told_ours_and_closed() {
    let headers: [&[u8; 8]; 6] = [
        b"AMQP\x03\x01\x00\x00",
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x00\x00\x09\x02",
        b"AMQP\x01\x01\x08\x00",
        b"GET / HT",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ];
    for header in headers {
        let mut talk = Conversation::new();
        talk.send_bytes(header);
        assert_eq!(talk.output, HEADER, "{header:?}");
        assert_eq!(talk.connection.status(), Status::Close);
    }
}

#[test]
fn a_client_may_send_its_whole_part_at_once() {
    let mut talk = Conversation::new();
    let all = [
        HEADER.to_vec(),
        method_frame(0, start_ok()),
        method_frame(0, tune_ok(0)),
        method_frame(0, open_vhost()),
        method_frame(1, channel::Open {}),
    ];
    talk.send_bytes(&all.concat());
    talk.log_in();
    talk.enter_vhost();
    talk.asked(1);
}

#[test]
fn the_client_says_who_it_is() {
    let mut properties = capable();
    properties.insert(name("connection_name"), Value::text("orders"));
    let talk = Conversation::started_with(Settings::default(), properties.clone());
    let client = talk.connection.client();
    assert_eq!((client.user.as_str(), client.mechanism, client.vhost == "/"), ("guest", "PLAIN", true));
    assert_eq!(client.connection_name.as_deref(), Some("orders"));
    assert!(client.capabilities.connection_blocked);
    assert_eq!(client.properties, properties);
}

#[test]
fn amqplain_is_taken() {
    let mut talk = Conversation::new();
    talk.send_bytes(HEADER);
    let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret".as_slice().into();
    talk.send(0, connection::StartOk { mechanism: name("AMQPLAIN"), response, ..start_ok() });
    let Some(Request::Authenticate { mechanism, password, .. }) = talk.connection.take_request() else {
        panic!()
    };
    assert_eq!((mechanism, &*password), ("AMQPLAIN", b"secret".as_slice()));
}

/// Silence for three seconds, then the end.
fn check_silent_close(mut talk: Conversation) {
    assert_eq!(talk.output, b"");
    assert_eq!(talk.connection.status(), Status::Closing);
    assert_eq!(talk.connection.next_deadline(), Some(Timestamp(talk.now.0 + 3000)));
    talk.send_bytes(b"anything");
    talk.wait(2999);
    assert_eq!((talk.connection.status(), talk.output.as_slice()), (Status::Closing, b"".as_slice()));
    talk.wait(1);
    assert_eq!((talk.connection.status(), talk.output.as_slice()), (Status::Close, b"".as_slice()));
    assert!(talk.commands.is_empty());
}

fn asked_to_log_in(client_properties: Table) -> Conversation {
    let mut talk = Conversation::new();
    talk.send_bytes(HEADER);
    talk.send(0, connection::StartOk { client_properties, ..start_ok() });
    talk.connection.take_request();
    talk.output.clear();
    talk
}

#[test]
fn a_failed_login_is_told_to_clients_that_want_it() {
    let mut talk = asked_to_log_in(capable());
    talk.connection.authenticated(talk.now, Err(LoginRefused), &mut talk.output);
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the \
                broker logfile.";
    talk.expect(0, connection::Close { reply_code: 403, reply_text: name(text), class_id: 0, method_id: 0 });
    talk.send(0, connection::CloseOk {});
    assert_eq!(talk.connection.status(), Status::Close);
}

#[test]
fn a_failed_login_of_an_older_client_is_a_silent_close() {
    let mut talk = asked_to_log_in(Table::default());
    talk.connection.authenticated(talk.now, Err(LoginRefused), &mut talk.output);
    check_silent_close(talk);
}

#[test]
fn errors_before_the_login_are_a_silent_close() {
    let mistakes = [
        method_frame(0, connection::StartOk { mechanism: name("EXTERNAL"), ..start_ok() }),
        method_frame(0, connection::StartOk { response: b"guest".as_slice().into(), ..start_ok() }),
        method_frame(0, open_vhost()),
        method_frame(1, channel::Open {}),
        frame(FrameKind::Body, 0, b"x"),
        frame(FrameKind::Method, 0, &[0; 8185]),
        vec![1, 0, 0, 0, 0, 0, 0, 0],
        vec![9; 8],
    ];
    for mistake in mistakes {
        let mut talk = Conversation::new();
        talk.send_bytes(HEADER);
        talk.output.clear();
        talk.send_bytes(&mistake);
        check_silent_close(talk);
    }
}

#[test]
fn a_start_ok_of_8192_bytes_fits() {
    let mut talk = Conversation::new();
    talk.send_bytes(HEADER);
    let response = [b"\0guest\0".as_slice(), &[b'p'; 8100]].concat();
    talk.send(0, connection::StartOk { response: response.into(), ..start_ok() });
    assert!(talk.connection.take_request().is_some());
}

fn asked_to_tune(answer: connection::TuneOk) -> Conversation {
    let mut talk = asked_to_log_in(capable());
    talk.connection.authenticated(talk.now, Ok(amqp::Login::default()), &mut talk.output);
    talk.output.clear();
    talk.send(0, answer);
    talk
}

#[test]
fn limits_above_the_offer_are_refused() {
    let mut talk = asked_to_tune(connection::TuneOk { channel_max: 0, ..tune_ok(60) });
    let text =
        "NOT_ALLOWED - negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)";
    talk.expect(
        0,
        connection::Close { reply_code: 530, reply_text: name(text), class_id: 10, method_id: 30 },
    );
    assert_eq!(talk.connection.next_deadline(), Some(Timestamp(talk.now.0 + 3000)));
}

#[test]
fn frames_of_4096_bytes_are_agreed_to() {
    let mut talk = asked_to_tune(connection::TuneOk { frame_max: 4096, ..tune_ok(60) });
    talk.send(0, open_vhost());
    talk.enter_vhost();
    assert_eq!(talk.connection.status(), Status::Running);
}

#[test]
fn a_vhost_that_cannot_be_entered_is_explained() {
    let cases = [
        (OpenRefusal::NotFound, 530, "NOT_ALLOWED - vhost / not found"),
        (OpenRefusal::AccessRefused, 530, "NOT_ALLOWED - access to vhost '/' refused for user 'guest'"),
        (
            OpenRefusal::ConnectionLimit { limit: 9 },
            530,
            "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (9) is reached",
        ),
        (
            OpenRefusal::UserConnectionLimit { limit: 9 },
            530,
            "NOT_ALLOWED - connection refused for user 'guest': user connection limit (9) is reached",
        ),
        (
            OpenRefusal::Down,
            541,
            "INTERNAL_ERROR - access to vhost '/' refused for user 'guest': vhost '/' is down",
        ),
    ];
    for (refusal, reply_code, text) in cases {
        let mut talk = asked_to_tune(tune_ok(60));
        talk.send(0, open_vhost());
        talk.connection.take_request();
        talk.connection.vhost_opened(talk.now, Err(refusal), &mut talk.output);
        talk.expect(0, connection::Close { reply_code, reply_text: name(text), class_id: 10, method_id: 40 });
        assert!(talk.commands.is_empty());
    }
}

#[test]
fn a_wrong_method_instead_of_open_is_explained() {
    let mut talk = asked_to_tune(tune_ok(60));
    talk.send(0, tune_ok(60));
    let text = "CHANNEL_ERROR - unexpected method in connection state opening";
    talk.expect(
        0,
        connection::Close { reply_code: 504, reply_text: name(text), class_id: 10, method_id: 31 },
    );
}

#[test]
fn a_handshake_that_takes_too_long_is_cut_off() {
    let mut talk = Conversation::new();
    talk.send_bytes(&HEADER[..4]);
    talk.wait(9_999);
    assert_eq!(talk.connection.status(), Status::Handshaking);
    talk.wait(1);
    assert_eq!((talk.connection.status(), talk.output.as_slice()), (Status::Close, b"".as_slice()));
}

#[test]
fn heartbeats_go_out_after_half_an_interval_of_silence() {
    let mut talk = Conversation::started();
    assert_eq!(talk.connection.next_deadline(), Some(Timestamp(talk.now.0 + 30_000)));
    talk.wait(29_999);
    assert_eq!(talk.reads(), []);
    talk.wait(1);
    assert_eq!(talk.reads(), [Read::Heartbeat]);
    talk.send_bytes(&frame(FrameKind::Heartbeat, 0, b""));
    assert_eq!(talk.reads(), []);
}

#[test]
fn a_client_that_is_silent_for_two_intervals_is_cut_off() {
    let mut talk = Conversation::started();
    talk.wait(119_999);
    assert_eq!(talk.connection.status(), Status::Running);
    talk.output.clear();
    talk.wait(1);
    assert_eq!((talk.connection.status(), talk.output.as_slice()), (Status::Close, b"".as_slice()));
    talk.expect_disconnect();
}

#[test]
fn half_a_frame_is_a_sign_of_life_but_only_once() {
    let mut talk = Conversation::started();
    talk.wait(100_000);
    talk.send_bytes(&[1, 0, 0]);
    talk.wait(100_000);
    assert_eq!(talk.connection.status(), Status::Running);
    talk.receive();
    talk.wait(20_000);
    assert_eq!(talk.connection.status(), Status::Close);
}

#[test]
fn a_renewed_secret_is_taken() {
    let mut talk = Conversation::started();
    talk.send(0, connection::UpdateSecret { new_secret: b"x".as_slice().into(), reason: name("expired") });
    talk.expect(0, connection::UpdateSecretOk {});
}

#[test]
fn methods_of_the_handshake_have_no_place_after_it() {
    let mut talk = Conversation::started();
    talk.send(0, start_ok());
    let text = "CHANNEL_ERROR - unexpected method in connection state running";
    talk.expect_connection_close(ReplyCode::ChannelError, text, (10, 11));
}
