//! A client, a broker and a clock, played by the test.

use std::sync::Arc;

use amqp::{Connection, Login, ReplyCode, Request, Settings, Status};
use amqp_wire::hot::{self, Publication};
use amqp_wire::{
    FrameKind, FrameScanner, Method, MethodId, ShortString, Table, Value, channel, connection, encode_frame,
};
use broker::{
    Answer, Command, ConnectionId, Effect, Envelope, Operation, Refusal, RequestTag, SessionId, Timestamp,
};
use bytes::{Bytes, BytesMut};

pub(crate) const CONNECTION: ConnectionId = ConnectionId(7);

/// The protocol header of nearly every client.
pub(crate) const HEADER: &[u8] = b"AMQP\0\0\x09\x01";

/// What the client reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    Method(u16, Method),
    Header { channel: u16, body_bytes: u64, properties: Vec<u8> },
    Body(u16, Vec<u8>),
    Heartbeat,
}

/// A connection under test, with both of its ends.
pub(crate) struct Conversation {
    pub(crate) connection: Connection,
    pub(crate) now: Timestamp,
    pub(crate) input: BytesMut,
    pub(crate) commands: Vec<Command>,
    pub(crate) output: Vec<u8>,
}

impl Conversation {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let mut number = 0;
        let random = Box::new(move || {
            number += 1;
            number
        });
        let now = Timestamp(1_000_000);
        Self {
            connection: Connection::new(Arc::new(settings), CONNECTION, random, now),
            now,
            input: BytesMut::new(),
            commands: Vec::new(),
            output: Vec::new(),
        }
    }

    /// A connection of guest to the vhost `/`, with the properties that the test wants.
    pub(crate) fn started_with(settings: Settings, client_properties: Table) -> Self {
        let mut talk = Self::with(settings);
        talk.send_bytes(HEADER);
        talk.send(0, connection::StartOk { client_properties, ..start_ok() });
        talk.log_in();
        talk.send(0, tune_ok(60));
        talk.send(0, open_vhost());
        talk.enter_vhost();
        talk.output.clear();
        talk
    }

    /// A connection that can be used, of a client with all capabilities.
    pub(crate) fn started() -> Self {
        Self::started_with(Settings::default(), capable())
    }

    /// A connection with channel 1.
    pub(crate) fn with_channel() -> Self {
        Self::with_channel_of(Settings::default())
    }

    pub(crate) fn with_channel_of(settings: Settings) -> Self {
        let mut talk = Self::started_with(settings, capable());
        talk.open_channel(1);
        talk
    }

    pub(crate) fn open_channel(&mut self, number: u16) {
        self.send(number, channel::Open {});
        let (tag, operation) = self.asked(number);
        assert!(matches!(operation, Operation::OpenSession), "{operation:?}");
        self.answer(number, tag, Answer::SessionOpened);
        assert_eq!(self.reads(), [Read::Method(number, channel::OpenOk {}.into())]);
    }

    /// The client sends bytes.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.receive();
    }

    /// The client sends a method.
    pub(crate) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        self.send_bytes(&method_frame(channel, method));
    }

    pub(crate) fn receive(&mut self) {
        self.connection.receive(self.now, &mut self.input, &mut self.commands, &mut self.output);
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, milliseconds: u64) {
        self.now.0 += milliseconds;
        self.connection.tick(self.now, &mut self.commands, &mut self.output);
    }

    pub(crate) fn log_in(&mut self) {
        let request = self.connection.take_request();
        assert!(matches!(request, Some(Request::Authenticate { .. })), "{request:?}");
        self.connection.authenticated(self.now, Ok(Login::default()), &mut self.output);
        self.receive();
    }

    pub(crate) fn enter_vhost(&mut self) {
        let request = self.connection.take_request();
        assert!(matches!(request, Some(Request::OpenVhost { .. })), "{request:?}");
        self.connection.vhost_opened(self.now, Ok(()), &mut self.output);
        self.receive();
    }

    /// The broker tells a channel something.
    pub(crate) fn tell(&mut self, channel: u16, effect: Effect<Envelope>) {
        self.connection.effect(self.now, Some(channel), effect, &mut self.commands, &mut self.output);
    }

    pub(crate) fn answer(&mut self, channel: u16, request: RequestTag, answer: Answer) {
        self.tell(channel, Effect::Answered { request, answer });
    }

    pub(crate) fn refuse(&mut self, channel: u16, request: RequestTag, refusal: Refusal) {
        self.tell(channel, Effect::Refused { request, refusal: Box::new(refusal) });
    }

    /// The broker has let go of the connection.
    pub(crate) fn disconnected(&mut self) {
        self.tell_connection(Effect::Disconnected);
    }

    /// The broker tells the connection as a whole something.
    pub(crate) fn tell_connection(&mut self, effect: Effect<Envelope>) {
        self.connection.effect(self.now, None, effect, &mut self.commands, &mut self.output);
    }

    /// The one thing that the broker was asked on `channel` since last time.
    pub(crate) fn asked(&mut self, channel: u16) -> (RequestTag, Operation) {
        let mut operations = self.all_asked(channel);
        assert_eq!(operations.len(), 1, "{operations:?}");
        operations.remove(0)
    }

    pub(crate) fn all_asked(&mut self, channel: u16) -> Vec<(RequestTag, Operation)> {
        let of_session = |command| match command {
            Command::Session { session, request, operation } => {
                assert_eq!(session, SessionId { connection: CONNECTION, channel });
                (request, operation)
            }
            other => panic!("not of a session: {other:?}"),
        };
        self.commands.drain(..).map(of_session).collect()
    }

    /// The broker was told that the connection ends, and nothing else.
    pub(crate) fn expect_disconnect(&mut self) {
        let commands = std::mem::take(&mut self.commands);
        assert!(
            matches!(commands.as_slice(), [Command::Disconnect { connection: CONNECTION, .. }]),
            "{commands:?}"
        );
    }

    /// What the client has read since last time.
    pub(crate) fn reads(&mut self) -> Vec<Read> {
        read_all(&std::mem::take(&mut self.output))
    }

    /// The client has read a method and nothing else.
    pub(crate) fn expect(&mut self, channel: u16, method: impl Into<Method>) {
        assert_eq!(self.reads(), [Read::Method(channel, method.into())]);
    }

    /// The connection was closed by the server for this reason; the broker knows.
    pub(crate) fn expect_connection_close(&mut self, code: ReplyCode, text: &str, method: (u16, u16)) {
        let (class_id, method_id) = method;
        let reply_text = ShortString::try_from(text).unwrap();
        self.expect(0, connection::Close { reply_code: code.number(), reply_text, class_id, method_id });
        self.expect_disconnect();
        assert_eq!(self.connection.status(), Status::Closing);
    }

    /// The channel was closed by the server for this reason.
    pub(crate) fn expect_channel_close(
        &mut self,
        channel: u16,
        code: ReplyCode,
        text: &str,
        method: (u16, u16),
    ) {
        let (class_id, method_id) = method;
        let reply_text = ShortString::try_from(text).unwrap();
        self.expect(channel, channel::Close { reply_code: code.number(), reply_text, class_id, method_id });
        assert_eq!(self.connection.status(), Status::Running);
    }

    /// The broker is asked to refuse something on the front end's account, and does.
    pub(crate) fn expect_own_refusal(&mut self, channel: u16) {
        let (tag, operation) = self.asked(channel);
        let (Operation::Refuse(refusal) | Operation::RefusePublish { refusal, .. }) = operation else {
            panic!("no refusal: {operation:?}")
        };
        self.refuse(channel, tag, *refusal);
    }
}

pub(crate) fn name(text: &str) -> ShortString {
    ShortString::try_from(text).unwrap()
}

pub(crate) fn start_ok() -> connection::StartOk {
    connection::StartOk {
        client_properties: Table::default(),
        mechanism: name("PLAIN"),
        response: Bytes::from_static(b"\0guest\0guest"),
        locale: name("en_US"),
    }
}

pub(crate) fn tune_ok(heartbeat: u16) -> connection::TuneOk {
    connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat }
}

pub(crate) fn open_vhost() -> connection::Open {
    connection::Open { virtual_host: name("/") }
}

pub(crate) fn capable() -> Table {
    let all = ["authentication_failure_close", "consumer_cancel_notify", "connection.blocked"];
    let capabilities: Table =
        all.map(|capability| (name(capability), Value::Bool(true))).into_iter().collect();
    [(name("capabilities"), Value::Table(capabilities))].into_iter().collect()
}

pub(crate) fn method_frame(channel: u16, method: impl Into<Method>) -> Vec<u8> {
    let mut bytes = Vec::new();
    method.into().encode_frame(&mut bytes, channel);
    bytes
}

pub(crate) fn frame(kind: FrameKind, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(&mut bytes, kind, channel, |out| out.extend_from_slice(payload));
    bytes
}

/// A content header frame of class basic.
pub(crate) fn header_frame(channel: u16, body_bytes: u64, properties: &[u8]) -> Vec<u8> {
    frame(
        FrameKind::Header,
        channel,
        &[&[0, 60, 0, 0], body_bytes.to_be_bytes().as_slice(), properties].concat(),
    )
}

/// A whole publish; its body is cut to `frame_max`.
pub(crate) fn publish_frames(
    channel: u16,
    frame_max: u32,
    key: &str,
    properties: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let publication = Publication { exchange: b"", routing_key: key.as_bytes(), mandatory: false };
    hot::publish(&mut bytes, channel, frame_max, &publication, hot::Content { properties, body });
    bytes
}

pub(crate) fn read_all(bytes: &[u8]) -> Vec<Read> {
    let mut scanner = FrameScanner::new(bytes, 0);
    let mut reads = Vec::new();
    while let Some(frame) = scanner.next_frame().expect("the server sends good frames") {
        let payload = scanner.payload(&frame);
        reads.push(match frame.kind {
            FrameKind::Method => Read::Method(frame.channel, Method::decode(payload).expect("a good method")),
            FrameKind::Header => {
                let header = amqp_wire::ContentHeader::decode(payload).expect("a good header");
                let properties = header.properties.as_bytes().to_vec();
                Read::Header { channel: frame.channel, body_bytes: header.body_bytes, properties }
            }
            FrameKind::Body => Read::Body(frame.channel, payload.to_vec()),
            FrameKind::Heartbeat => Read::Heartbeat,
        });
    }
    assert_eq!(scanner.consumed_bytes(), bytes.len(), "the server sends whole frames");
    reads
}

pub(crate) fn id(class_id: u16, method_id: u16) -> MethodId {
    MethodId { class_id, method_id }
}
