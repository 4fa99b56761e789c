//! A broker that says what a test tells it to say, so that a test reads like a conversation.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use amqp_wire::{
    ArgumentReader, ContentHeader, Frame, FrameKind, Method, MethodArguments, Properties, ProtocolHeader,
    ReplyCode, basic, channel, connection, hot, next_frame, queue, tx,
};

/// Listens on a free port.
pub(crate) struct ScriptedBroker {
    listener: TcpListener,
}

/// One client's connection, past the handshake.
pub(crate) struct Conversation {
    stream: TcpStream,
    input: Vec<u8>,
    pub(crate) heartbeats: usize,
}

/// What the client said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) channel: u16,
    pub(crate) method: Method,
    pub(crate) properties: Properties,
    pub(crate) body: Vec<u8>,
}

const PATIENCE: Duration = Duration::from_secs(10);

impl ScriptedBroker {
    pub(crate) fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/", self.listener.local_addr().unwrap())
    }

    /// Takes the next connection and its handshake, offering this heartbeat interval.
    pub(crate) fn accept(&self, heartbeat: u16) -> Conversation {
        let mut conversation = self.accept_silently();
        let mut header = [0; 8];
        conversation.stream.read_exact(&mut header).unwrap();
        assert_eq!(header, ProtocolHeader::AMQP_0_9_1);
        conversation.send(0, connection::Start { version_minor: 9, ..Default::default() });
        let start_ok: connection::StartOk = conversation.expect(0);
        assert_eq!(&start_ok.response[..], b"\0guest\0guest");
        conversation.send(0, connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat });
        let _: connection::TuneOk = conversation.expect(0);
        let _: connection::Open = conversation.expect(0);
        conversation.send(0, connection::OpenOk {});
        conversation
    }

    /// Takes the next connection and says nothing.
    pub(crate) fn accept_silently(&self) -> Conversation {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Conversation { stream, input: Vec::new(), heartbeats: 0 }
    }
}

impl Said {
    /// The method's arguments, if it is an `M`.
    pub(crate) fn get<M: MethodArguments>(&self) -> Option<M> {
        if self.method.id() != M::SPEC.id {
            return None;
        }
        let mut payload = Vec::new();
        self.method.encode(&mut payload);
        M::read(&mut ArgumentReader::new(&payload[4..])).ok()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<amqp_wire::Value> {
        self.properties.headers.as_ref()?.get(name.as_bytes()).cloned()
    }
}

impl Conversation {
    pub(crate) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        let mut out = Vec::new();
        method.into().encode_frame(&mut out, channel);
        self.stream.write_all(&out).unwrap();
    }

    pub(crate) fn ack(&mut self, channel: u16, delivery_tag: u64, multiple: bool) {
        self.send(channel, basic::Ack { delivery_tag, multiple });
    }

    pub(crate) fn send_heartbeat(&mut self) {
        let mut out = Vec::new();
        hot::heartbeat(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// Gives a message back.
    pub(crate) fn send_back(&mut self, said: &Said) {
        let publish: basic::Publish = said.get().unwrap();
        let returned = hot::ReturnedMessage {
            reply_code: ReplyCode::NoRoute,
            reply_text: b"NO_ROUTE",
            exchange: &publish.exchange,
            routing_key: &publish.routing_key,
        };
        let (mut out, properties) = (Vec::new(), said.properties.to_bytes());
        let content = hot::Content { properties: &properties, body: &said.body };
        hot::basic_return(&mut out, said.channel, 131_072, &returned, content);
        self.stream.write_all(&out).unwrap();
    }

    pub(crate) fn deliver(
        &mut self,
        channel: u16,
        tag: &str,
        delivery_tag: u64,
        properties: &Properties,
        body: &[u8],
    ) {
        let delivery = hot::Delivery {
            consumer_tag: tag.as_bytes(),
            delivery_tag,
            redelivered: false,
            exchange: b"",
            routing_key: b"q",
        };
        let (mut out, properties) = (Vec::new(), properties.to_bytes());
        hot::deliver(&mut out, channel, 131_072, &delivery, hot::Content { properties: &properties, body });
        self.stream.write_all(&out).unwrap();
    }

    pub(crate) fn close_channel(&mut self, channel: u16, reply_code: u16, text: &str) {
        let reply_text = amqp_wire::ShortString::try_from(text).unwrap();
        self.send(channel, channel::Close { reply_code, reply_text, ..Default::default() });
        let _: channel::CloseOk = self.expect(channel);
    }

    /// The next `M` on this channel; the opening of channels is answered along the way, everything else is an error.
    pub(crate) fn expect<M: MethodArguments>(&mut self, channel: u16) -> M {
        self.expect_said::<M>(channel).get().unwrap()
    }

    /// As [`Conversation::expect`], with the content.
    pub(crate) fn expect_said<M: MethodArguments>(&mut self, channel: u16) -> Said {
        loop {
            let said = self.hear().unwrap_or_else(|| panic!("the client left before {}", M::SPEC.name));
            if said.channel == channel && said.get::<M>().is_some() {
                return said;
            }
            self.answer_setup(&said, M::SPEC.name);
        }
    }

    /// What a client says to set up its channels is answered; everything else is out of place.
    fn answer_setup(&mut self, said: &Said, expected: &str) {
        let channel = said.channel;
        match said.method.name() {
            "channel.open" => self.send(channel, channel::OpenOk {}),
            "basic.qos" => self.send(channel, basic::QosOk {}),
            "queue.declare" => self.send(channel, queue::DeclareOk::default()),
            "tx.select" => self.send(channel, tx::SelectOk {}),
            "confirm.select" => {}
            "basic.consume" => {
                let consume: basic::Consume = said.get().unwrap();
                if !consume.no_wait {
                    self.send(channel, basic::ConsumeOk { consumer_tag: consume.consumer_tag });
                }
            }
            name => panic!("expected {expected}, got {name} on channel {channel}"),
        }
    }

    /// `count` publishes on this channel.
    pub(crate) fn expect_publishes(&mut self, channel: u16, count: usize) -> Vec<Said> {
        (0..count).map(|_| self.expect_said::<basic::Publish>(channel)).collect()
    }

    /// Plays the goodbye.
    pub(crate) fn expect_goodbye(&mut self) {
        let close: connection::Close = self.expect(0);
        assert_eq!(close.reply_code, 200);
        self.send(0, connection::CloseOk {});
    }

    /// The next method with its content; `None` when the client has left.
    pub(crate) fn hear(&mut self) -> Option<Said> {
        let (frame, payload) = self.frame()?;
        assert_eq!(frame.kind, FrameKind::Method);
        let method = Method::decode(&payload).unwrap();
        let mut said =
            Said { channel: frame.channel, method, properties: Properties::default(), body: Vec::new() };
        if said.method.carries_content() {
            let (_, payload) = self.frame()?;
            let header = ContentHeader::decode(&payload).unwrap();
            said.properties = Properties::decode(header.properties.as_bytes()).unwrap();
            while (said.body.len() as u64) < header.body_bytes {
                said.body.extend(self.frame()?.1);
            }
        }
        Some(said)
    }

    /// Listens for a while, for heartbeats alone.
    pub(crate) fn hear_nothing_for(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => panic!("the client left"),
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(_) => break,
            }
        }
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        while let Some((frame, _)) = self.buffered_frame() {
            assert_eq!(frame.kind, FrameKind::Heartbeat);
            self.heartbeats += 1;
        }
    }

    /// Cuts the connection without a word.
    pub(crate) fn cut(self) {
        self.stream.shutdown(Shutdown::Both).unwrap();
    }

    fn frame(&mut self) -> Option<(Frame, Vec<u8>)> {
        loop {
            match self.buffered_frame() {
                Some((frame, _)) if frame.kind == FrameKind::Heartbeat => self.heartbeats += 1,
                Some(found) => return Some(found),
                None => {
                    let mut bytes = [0; 65_536];
                    match self.stream.read(&mut bytes).expect("the client says something in time") {
                        0 => return None,
                        count => self.input.extend_from_slice(&bytes[..count]),
                    }
                }
            }
        }
    }

    fn buffered_frame(&mut self) -> Option<(Frame, Vec<u8>)> {
        let frame = next_frame(&self.input, 0, 131_072).unwrap()?;
        let payload = self.input[frame.payload.clone()].to_vec();
        self.input.drain(..frame.end());
        Some((frame, payload))
    }
}
