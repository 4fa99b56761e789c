//! The peer itself: a socket, what was read from it, and what the script has not asked for yet.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use amqp_wire::hot::{self, Publication};
use amqp_wire::{
    ContentHeader, Frame, FrameKind, Method, MethodArguments, MethodError, basic, channel, confirm,
    next_frame,
};

use super::{Content, Endpoint, Handshake, Incoming, PeerError};

/// A blocking AMQP client that follows a script.
///
/// Methods that come while the script waits for another one are kept and can be taken later, in their order. Only a
/// close that nobody expects ends the waiting. Nothing is answered by itself, heartbeats aside, which are swallowed.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    /// Where the first unread frame starts in `input`.
    input_offset: usize,
    frame_max: u32,
    wait_max: Duration,
    kept: VecDeque<Incoming>,
}

const READ_BYTES: usize = 64 * 1024;

impl Peer {
    /// Only the TCP connection, for scripts that want to say the first byte themselves.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn dial(address: &str) -> Result<Self, PeerError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (input, kept) = (Vec::new(), VecDeque::new());
        let mut peer = Self { stream, input, input_offset: 0, frame_max: 0, wait_max: Duration::ZERO, kept };
        peer.set_wait_max(Duration::from_secs(10))?;
        Ok(peer)
    }

    /// A connection that is ready for channels.
    ///
    /// # Errors
    /// When nobody listens or the broker refuses.
    pub fn open(endpoint: &Endpoint) -> Result<Self, PeerError> {
        Self::open_with(endpoint, &Handshake::default())
    }

    /// As [`Peer::open`], saying what the test wants while the connection is set up.
    ///
    /// # Errors
    /// When nobody listens or the broker refuses.
    pub fn open_with(endpoint: &Endpoint, handshake: &Handshake) -> Result<Self, PeerError> {
        let mut peer = Self::dial(&endpoint.address)?;
        handshake.run(&mut peer, endpoint)?;
        Ok(peer)
    }

    /// How long to wait for the broker before giving up. Default 10 s.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn set_wait_max(&mut self, wait_max: Duration) -> Result<(), PeerError> {
        self.stream.set_read_timeout(Some(wait_max))?;
        self.wait_max = wait_max;
        Ok(())
    }

    /// The agreed frame size in bytes, used to cut bodies and to judge what comes. 0 before it is agreed: no limit.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }

    /// The agreed frame size in bytes.
    pub fn frame_max(&self) -> u32 {
        self.frame_max
    }

    /// Another handle on the socket, to cut the connection from another thread.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn socket(&self) -> Result<TcpStream, PeerError> {
        Ok(self.stream.try_clone()?)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends one method.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn send(&mut self, channel: u16, method: impl Into<Method>) -> Result<(), PeerError> {
        let mut out = Vec::new();
        method.into().encode_frame(&mut out, channel);
        self.send_raw(&out)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn publish(
        &mut self,
        channel: u16,
        publication: &Publication<'_>,
        properties: &[u8],
        body: &[u8],
    ) -> Result<(), PeerError> {
        let mut out = Vec::new();
        hot::publish(&mut out, channel, self.frame_max, publication, hot::Content { properties, body });
        self.send_raw(&out)
    }

    /// Sends a method and waits for its answer.
    ///
    /// # Errors
    /// As [`Peer::expect`].
    pub fn call<A: MethodArguments>(
        &mut self,
        channel: u16,
        method: impl Into<Method>,
    ) -> Result<A, PeerError> {
        self.send(channel, method)?;
        self.expect(channel)
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// As [`Peer::expect`].
    pub fn open_channel(&mut self, channel: u16) -> Result<(), PeerError> {
        let channel::OpenOk {} = self.call(channel, channel::Open {})?;
        Ok(())
    }

    /// Opens a channel on which publishes are confirmed.
    ///
    /// # Errors
    /// As [`Peer::expect`].
    pub fn open_confirm_channel(&mut self, channel: u16) -> Result<(), PeerError> {
        self.open_channel(channel)?;
        let confirm::SelectOk {} = self.call(channel, confirm::Select { no_wait: false })?;
        Ok(())
    }

    /// Waits for an `M` on this channel. Other methods are kept for later.
    ///
    /// # Errors
    /// When the broker closes the channel or the connection instead, leaves, or says nothing in time.
    pub fn expect<M: MethodArguments>(&mut self, channel: u16) -> Result<M, PeerError> {
        if let Some(at) =
            self.kept.iter().position(|kept| kept.channel == channel && kept.get::<M>().is_some())
        {
            let found = self.kept.remove(at).and_then(|kept| kept.get::<M>());
            return Ok(found.expect("it was there a moment ago"));
        }
        loop {
            let incoming = self.read_incoming(M::SPEC.name)?;
            if incoming.channel == channel
                && let Some(method) = incoming.get()
            {
                return Ok(method);
            }
            if incoming.is_close() {
                let got = format!("{:?} on channel {}", incoming.method, incoming.channel);
                return Err(PeerError::Unexpected { expected: M::SPEC.name.to_owned(), got });
            }
            self.kept.push_back(incoming);
        }
    }

    /// The next method, whatever it is.
    ///
    /// # Errors
    /// When the broker leaves, or says nothing in time.
    pub fn receive(&mut self) -> Result<Incoming, PeerError> {
        match self.kept.pop_front() {
            Some(incoming) => Ok(incoming),
            None => self.read_incoming("any method"),
        }
    }

    /// The next method if it has come already, or comes within `wait`.
    ///
    /// # Errors
    /// When the broker leaves.
    pub fn receive_within(&mut self, wait: Duration) -> Result<Option<Incoming>, PeerError> {
        if let Some(incoming) = self.kept.pop_front() {
            return Ok(Some(incoming));
        }
        // A frame of which only a part has come stays in `input`, so that trying again later is safe, but a content
        // must be read to its end once it has begun: only the first frame is waited for with the short limit.
        if self.whole_frame()?.is_none() {
            self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
            let filled = self.fill("any method");
            self.stream.set_read_timeout(Some(self.wait_max))?;
            match filled {
                Err(PeerError::TimedOut { .. }) => return Ok(None),
                filled => filled?,
            }
            if self.whole_frame()?.is_none() {
                return Ok(None);
            }
        }
        self.read_incoming("any method").map(Some)
    }

    /// The next method, which must be a delivery to a consumer of this channel.
    ///
    /// # Errors
    /// As [`Peer::expect`].
    pub fn expect_delivery(&mut self, channel: u16) -> Result<(basic::Deliver, Content), PeerError> {
        let incoming = self.receive()?;
        match (incoming.method, incoming.content) {
            (Method::Basic(basic::Method::Deliver(deliver)), Some(content))
                if incoming.channel == channel =>
            {
                Ok((deliver, content))
            }
            (method, _) => {
                let got = format!("{method:?} on channel {}", incoming.channel);
                Err(PeerError::Unexpected { expected: "basic.deliver".to_owned(), got })
            }
        }
    }

    /// Reads until the broker ends the TCP connection; returns the raw bytes that came before.
    ///
    /// # Errors
    /// When the connection stays open.
    pub fn expect_end(&mut self) -> Result<Vec<u8>, PeerError> {
        let started = Instant::now();
        while started.elapsed() < self.wait_max {
            match self.fill("the end of the TCP connection") {
                Ok(()) => {}
                Err(error) if error.is_disconnect() => return Ok(self.input.split_off(self.input_offset)),
                Err(error) => return Err(error),
            }
        }
        let waited_ms = started.elapsed().as_millis();
        Err(PeerError::TimedOut { waited_ms, expected: "the end of the TCP connection" })
    }

    fn read_incoming(&mut self, expected: &'static str) -> Result<Incoming, PeerError> {
        let frame = self.read_frame(expected)?;
        if frame.kind != FrameKind::Method {
            let got = format!("a {:?} frame on channel {}", frame.kind, frame.channel);
            return Err(PeerError::Unexpected { expected: expected.to_owned(), got });
        }
        let method = self.payload(&frame, Method::decode)?;
        let content = if method.carries_content() { Some(self.read_content(frame.channel)?) } else { None };
        Ok(Incoming { channel: frame.channel, method, content })
    }

    /// Reads the header and the body. Methods of other channels may come between
    /// the frames and are kept; a second content between them is not understood.
    fn read_content(&mut self, channel: u16) -> Result<Content, PeerError> {
        let frame = self.read_frame_of(channel, FrameKind::Header)?;
        let (body_bytes, properties) = {
            let header = ContentHeader::decode(&self.input[frame.payload])?;
            (header.body_bytes, header.properties.as_bytes().to_vec())
        };
        let mut body = Vec::new();
        while (body.len() as u64) < body_bytes {
            let frame = self.read_frame_of(channel, FrameKind::Body)?;
            body.extend_from_slice(&self.input[frame.payload]);
        }
        Ok(Content { properties, body })
    }

    fn read_frame_of(&mut self, channel: u16, kind: FrameKind) -> Result<Frame, PeerError> {
        loop {
            let frame = self.read_frame("content")?;
            if (frame.channel, frame.kind) == (channel, kind) {
                return Ok(frame);
            }
            let other = if frame.channel != channel && frame.kind == FrameKind::Method {
                Some(self.payload(&frame, Method::decode)?).filter(|method| !method.carries_content())
            } else {
                None
            };
            let Some(method) = other else {
                let got = format!("a {:?} frame on channel {}", frame.kind, frame.channel);
                let expected = format!("a {kind:?} frame on channel {channel}");
                return Err(PeerError::Unexpected { expected, got });
            };
            self.kept.push_back(Incoming { channel: frame.channel, method, content: None });
        }
    }

    fn payload<T>(
        &self,
        frame: &Frame,
        read: impl FnOnce(&[u8]) -> Result<T, MethodError>,
    ) -> Result<T, PeerError> {
        Ok(read(&self.input[frame.payload.clone()])?)
    }

    /// The next frame that is no heartbeat; its payload lies in `input` until the next read.
    fn read_frame(&mut self, expected: &'static str) -> Result<Frame, PeerError> {
        loop {
            match self.whole_frame()? {
                Some(frame) => {
                    self.input_offset = frame.end();
                    if frame.kind != FrameKind::Heartbeat {
                        return Ok(frame);
                    }
                }
                None => self.fill(expected)?,
            }
        }
    }

    fn whole_frame(&self) -> Result<Option<Frame>, PeerError> {
        Ok(next_frame(&self.input, self.input_offset, self.frame_max)?)
    }

    fn fill(&mut self, expected: &'static str) -> Result<(), PeerError> {
        self.input.drain(..self.input_offset);
        self.input_offset = 0;
        let filled_bytes = self.input.len();
        self.input.resize(filled_bytes + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[filled_bytes..]);
        self.input.truncate(filled_bytes + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(PeerError::Closed),
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(PeerError::TimedOut { waited_ms: self.wait_max.as_millis(), expected })
            }
            Err(error) => Err(error.into()),
        }
    }
}
