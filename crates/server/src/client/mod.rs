//! A small blocking AMQP client, for the commands `publish` and `consume`.
//!
//! One connection, one channel, no heartbeats, no recovery: what it can't go on with, it reports.

mod url;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use amqp_wire::{
    ContentHeader, Frame, FrameKind, Method, ProtocolHeader, ShortString, Table, Value, basic, channel,
    connection, hot, next_frame,
};
use bytes::Bytes;

pub use url::{Url, UrlError};

/// A connection with one open channel.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Read and not understood yet; begins at a frame.
    input: Vec<u8>,
    /// Written with the next [`Client::flush`].
    output: Vec<u8>,
    frame_max: u32,
}

/// What the broker sends on the channel.
#[derive(Debug)]
pub enum Incoming {
    /// A method without content.
    Method(Method),
    /// A method with its message.
    Message {
        /// `basic.deliver`, `basic.return` or `basic.get-ok`.
        method: Method,
        /// The message's body.
        body: Vec<u8>,
    },
}

/// Why a conversation with the broker ended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no connection.
    #[error("cannot connect to {address}: {source}; is a broker running there?")]
    Unreachable {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the broker broke: {0}")]
    Broken(#[from] io::Error),
    /// The broker closed the channel or the connection, and said why.
    #[error("the broker refused: {code} {text}")]
    Refused {
        /// AMQP's code.
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// The broker says what does not fit.
    #[error("the broker does not speak AMQP 0-9-1 as expected: {0}")]
    Protocol(String),
}

const CHANNEL: u16 = 1;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The client names no smaller frame than this, and larger ones gain nothing.
const FRAME_MAX: u32 = 131_072;
const READ_BYTES: usize = 64 * 1024;

impl Client {
    /// Connects, logs in and opens the channel.
    ///
    /// # Errors
    /// [`ClientError`]; a refused login shows as [`ClientError::Refused`] with 403.
    pub fn connect(url: &Url) -> Result<Self, ClientError> {
        let stream = open(&url.address)
            .map_err(|source| ClientError::Unreachable { address: url.address.clone(), source })?;
        let mut client = Self { stream, input: Vec::new(), output: Vec::new(), frame_max: FRAME_MAX };
        client.stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
        client.log_in(url)?;
        client.stream.set_read_timeout(None)?;
        Ok(client)
    }

    fn log_in(&mut self, url: &Url) -> Result<(), ClientError> {
        self.output.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
        match self.receive_method()? {
            Method::Connection(connection::Method::Start(_)) => {}
            other => return Err(unexpected(&other)),
        }
        self.send_on(
            0,
            connection::StartOk {
                client_properties: client_properties(),
                mechanism: ShortString::from_static("PLAIN"),
                response: Bytes::from(format!("\0{}\0{}", url.user, url.password)),
                locale: ShortString::from_static("en_US"),
            },
        );
        let tune = match self.receive_method()? {
            Method::Connection(connection::Method::Tune(tune)) => tune,
            other => return Err(unexpected(&other)),
        };
        self.frame_max = if tune.frame_max == 0 { FRAME_MAX } else { tune.frame_max.min(FRAME_MAX) };
        self.send_on(
            0,
            connection::TuneOk { channel_max: tune.channel_max, frame_max: self.frame_max, heartbeat: 0 },
        );
        let virtual_host = ShortString::try_from(url.vhost.as_str()).map_err(|_| {
            ClientError::Protocol("the name of a virtual host has at most 255 bytes".to_owned())
        })?;
        self.send_on(0, connection::Open { virtual_host });
        match self.receive_method()? {
            Method::Connection(connection::Method::OpenOk(_)) => {}
            other => return Err(unexpected(&other)),
        }
        match self.call(channel::Open {})? {
            Method::Channel(channel::Method::OpenOk(_)) => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Queues a method on the channel.
    pub fn send(&mut self, method: impl Into<Method>) {
        self.send_on(CHANNEL, method);
    }

    fn send_on(&mut self, channel: u16, method: impl Into<Method>) {
        method.into().encode_frame(&mut self.output, channel);
    }

    /// Queues a message.
    pub fn publish(&mut self, publication: &hot::Publication<'_>, content: hot::Content<'_>) {
        hot::publish(&mut self.output, CHANNEL, self.frame_max, publication, content);
    }

    /// Bytes queued by [`Client::send`] and [`Client::publish`] and not written yet.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.output.len()
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Sends a method and waits for the next method of the broker.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call(&mut self, method: impl Into<Method>) -> Result<Method, ClientError> {
        self.send(method);
        self.receive_method()
    }

    fn receive_method(&mut self) -> Result<Method, ClientError> {
        match self.receive()? {
            Incoming::Method(method) => Ok(method),
            Incoming::Message { method, .. } => Err(unexpected(&method)),
        }
    }

    /// Writes what is queued and waits for the next thing from the broker.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it closes the channel or the connection.
    pub fn receive(&mut self) -> Result<Incoming, ClientError> {
        self.flush()?;
        let method = loop {
            let (kind, payload) = self.next_frame()?;
            if kind == FrameKind::Method {
                break Method::decode(&payload).map_err(|error| ClientError::Protocol(error.to_string()))?;
            }
        };
        match &method {
            Method::Channel(channel::Method::Close(close)) => {
                Err(refused(close.reply_code, &close.reply_text))
            }
            Method::Connection(connection::Method::Close(close)) => {
                Err(refused(close.reply_code, &close.reply_text))
            }
            _ if method.carries_content() => Ok(Incoming::Message { body: self.receive_body()?, method }),
            _ => Ok(Incoming::Method(method)),
        }
    }

    fn receive_body(&mut self) -> Result<Vec<u8>, ClientError> {
        let (_, payload) = self.next_frame()?;
        let header =
            ContentHeader::decode(&payload).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let mut body = Vec::new();
        while (body.len() as u64) < header.body_bytes {
            let (_, payload) = self.next_frame()?;
            body.extend_from_slice(&payload);
        }
        Ok(body)
    }

    fn next_frame(&mut self) -> Result<(FrameKind, Vec<u8>), ClientError> {
        loop {
            let frame = next_frame(&self.input, 0, self.frame_max);
            match frame.map_err(|error| ClientError::Protocol(error.to_string()))? {
                Some(frame) => return Ok(self.take(&frame)),
                None => self.read_more()?,
            }
        }
    }

    fn take(&mut self, frame: &Frame) -> (FrameKind, Vec<u8>) {
        let payload = self.input[frame.payload.clone()].to_vec();
        self.input.drain(..frame.end());
        (frame.kind, payload)
    }

    fn read_more(&mut self) -> Result<(), ClientError> {
        let start = self.input.len();
        self.input.resize(start + READ_BYTES, 0);
        let outcome = self.stream.read(&mut self.input[start..]);
        self.input.truncate(start + *outcome.as_ref().unwrap_or(&0));
        match outcome? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// Says goodbye and waits for the answer, so that all that was sent before has been taken.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn close(mut self) -> Result<(), ClientError> {
        self.send_on(0, connection::Close { reply_code: 200, ..connection::Close::default() });
        loop {
            if let Incoming::Method(Method::Connection(connection::Method::CloseOk(_))) = self.receive()? {
                return Ok(());
            }
        }
    }
}

fn open(address: &str) -> io::Result<TcpStream> {
    use std::net::ToSocketAddrs;
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    for address in address.to_socket_addrs()? {
        outcome = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
        if outcome.is_ok() {
            break;
        }
    }
    let stream = outcome?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// With `authentication_failure_close` a broker says that the password is wrong, instead of just hanging up.
fn client_properties() -> Table {
    let capabilities: Table =
        [(ShortString::from_static("authentication_failure_close"), Value::Bool(true))].into_iter().collect();
    [
        (ShortString::from_static("product"), Value::text("Forebay command line")),
        (ShortString::from_static("version"), Value::text(env!("CARGO_PKG_VERSION"))),
        (ShortString::from_static("capabilities"), Value::Table(capabilities)),
    ]
    .into_iter()
    .collect()
}

fn refused(code: u16, text: &ShortString) -> ClientError {
    ClientError::Refused { code, text: text.to_string() }
}

/// What to say about a method that does not fit.
#[must_use]
pub fn unexpected(method: &Method) -> ClientError {
    ClientError::Protocol(format!("{} came unexpectedly", method.name()))
}

/// A delivery's tag, or `None` for any other method.
#[must_use]
pub fn delivery_tag(method: &Method) -> Option<u64> {
    match method {
        Method::Basic(basic::Method::Deliver(deliver)) => Some(deliver.delivery_tag),
        _ => None,
    }
}
