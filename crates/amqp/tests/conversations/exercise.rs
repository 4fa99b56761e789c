//! Any bytes against a connection, with a broker that says yes to everything. Shared with the fuzz target.

use std::sync::Arc;

use amqp::{Connection, Login, Request, Settings, Status};
use amqp_wire::{FrameScanner, Method};
use broker::{Answer, Command, ConnectionId, Effect, Operation, RequestTag, Timestamp};
use bytes::BytesMut;

/// Plays a client that sends `bytes`: first a byte that says whether the handshake is already done and how the rest
/// is cut into reads, then what is sent.
///
/// # Panics
/// When the connection sends broken frames, goes on after its end, or tells the broker twice of it.
pub(crate) fn exercise(bytes: &[u8]) {
    let Some((&how, sent)) = bytes.split_first() else { return };
    let mut play = Play::new();
    if how & 1 == 1 {
        play.send(HANDSHAKE);
    }
    for part in sent.chunks(usize::from(how >> 1) + 1) {
        play.send(part);
    }
    play.end();
}

/// Header, `start-ok` of guest by PLAIN, `tune-ok` with the offered limits, `open` of `/`, `channel.open` of 1.
pub(crate) const HANDSHAKE: &[u8] = b"AMQP\0\0\x09\x01\
    \x01\0\0\0\0\0\x24\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US\xce\
    \x01\0\0\0\0\0\x0c\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\x3c\xce\
    \x01\0\0\0\0\0\x08\0\x0a\0\x28\x01/\0\0\xce\
    \x01\0\x01\0\0\0\x05\0\x14\0\x0a\0\xce";

struct Play {
    connection: Connection,
    now: Timestamp,
    input: BytesMut,
    commands: Vec<Command>,
    output: Vec<u8>,
    /// Where the frames begin that were not looked at.
    read_to: usize,
    is_disconnected: bool,
    published: u64,
}

impl Play {
    fn new() -> Self {
        let mut number = 0;
        let random = Box::new(move || {
            number += 1;
            number
        });
        let now = Timestamp(1_000_000);
        Self {
            connection: Connection::new(Arc::new(Settings::default()), ConnectionId(1), random, now),
            now,
            input: BytesMut::new(),
            commands: Vec::new(),
            output: Vec::new(),
            read_to: 0,
            is_disconnected: false,
            published: 0,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.now.0 += 1;
        self.input.extend_from_slice(bytes);
        self.receive();
        while let Some(request) = self.connection.take_request() {
            match request {
                Request::Authenticate { .. } => {
                    self.connection.authenticated(self.now, Ok(Login::default()), &mut self.output);
                }
                Request::OpenVhost { .. } => self.connection.vhost_opened(self.now, Ok(()), &mut self.output),
            }
            self.receive();
        }
        self.answer();
        self.check_output();
    }

    fn receive(&mut self) {
        self.connection.receive(self.now, &mut self.input, &mut self.commands, &mut self.output);
    }

    /// The broker says yes.
    fn answer(&mut self) {
        while !self.commands.is_empty() {
            for command in std::mem::take(&mut self.commands) {
                assert!(!self.is_disconnected, "after the end: {command:?}");
                match command {
                    Command::Session { session, request, operation } => {
                        if let Some(effect) = self.effect(request, operation) {
                            self.tell(Some(session.channel), effect);
                        }
                    }
                    Command::Disconnect { .. } => {
                        self.is_disconnected = true;
                        self.tell(None, Effect::Disconnected);
                    }
                    other => panic!("not a connection's: {other:?}"),
                }
            }
        }
    }

    fn tell(&mut self, channel: Option<u16>, effect: Effect<broker::Envelope>) {
        self.connection.effect(self.now, channel, effect, &mut self.commands, &mut self.output);
    }

    fn effect(&mut self, request: RequestTag, operation: Operation) -> Option<Effect<broker::Envelope>> {
        let answer = match operation {
            Operation::OpenSession => Answer::SessionOpened,
            Operation::Echo => Answer::Echoed,
            Operation::CloseSession => Answer::SessionClosed,
            Operation::Refuse(refusal) | Operation::RefusePublish { refusal, .. } => {
                return Some(Effect::Refused { request, refusal });
            }
            Operation::DeclareQueue(declare) => {
                Answer::QueueDeclared { name: declare.name, messages: 0, consumers: 0 }
            }
            Operation::Consume(consume) => Answer::ConsumerStarted { tag: consume.tag },
            Operation::Cancel { tag } => Answer::ConsumerStopped { tag },
            Operation::Publish(publish) if publish.mandatory => {
                return Some(Effect::Returned { envelope: publish.envelope });
            }
            Operation::Publish(_) => {
                self.published += 1;
                return Some(Effect::Confirmed { up_to: self.published });
            }
            Operation::Settle { .. } => return None,
            _ => Answer::PrefetchSet,
        };
        Some(Effect::Answered { request, answer })
    }

    /// All that was sent are good frames, but for the header that answers a foreign one.
    fn check_output(&mut self) {
        let unread = &self.output[self.read_to..];
        if unread.starts_with(b"AMQP") {
            assert_eq!((unread, self.connection.status()), (b"AMQP\0\0\x09\x01".as_slice(), Status::Close));
            return;
        }
        let mut scanner = FrameScanner::new(unread, 0);
        while let Some(frame) = scanner.next_frame().expect("good frames") {
            if frame.kind == amqp_wire::FrameKind::Method {
                Method::decode(scanner.payload(&frame)).expect("good methods");
            }
        }
        assert_eq!(scanner.consumed_bytes(), unread.len(), "whole frames");
        self.read_to = self.output.len();
    }

    /// However long it takes: without another word of the client every connection ends, once. Only a client that
    /// wants no heartbeats may stay until its socket is lost.
    fn end(mut self) {
        for _ in 0..20 {
            let Some(deadline) = self.connection.next_deadline() else { break };
            self.now = deadline;
            self.connection.tick(self.now, &mut self.commands, &mut self.output);
            self.answer();
            self.check_output();
        }
        if self.connection.next_deadline().is_none() && self.connection.status() == Status::Running {
            self.connection.lost(&mut self.commands);
            self.answer();
        }
        assert_eq!(self.connection.status(), Status::Close);
    }
}
