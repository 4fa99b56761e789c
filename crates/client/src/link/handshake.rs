//! From a host name to an open connection.

use std::io;
use std::time::Duration;

use amqp_wire::{FRAME_MAX_BEFORE_TUNE, Method, ProtocolHeader, ShortString, Table, Value, connection};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::incoming::{Assembler, Piece};
use super::{ConnectError, LinkSettings, Url, Violation};

/// A connection on which channels may be opened.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// Read and not understood yet.
    pub(super) input: BytesMut,
    pub(super) assembler: Assembler,
    /// Largest frame in bytes.
    pub(super) frame_max: u32,
    /// Interval in seconds; 0 for none.
    pub(super) heartbeat_s: u16,
}

/// The client takes no larger frames than this; larger ones gain nothing.
const FRAME_MAX: u32 = 131_072;

impl Connection {
    /// Dials, logs in and opens the virtual host. Each of the two steps may take `settings.connect_timeout`.
    pub(super) async fn open(settings: &LinkSettings) -> Result<Self, ConnectError> {
        let address = &settings.url.address;
        let unreachable = |source| ConnectError::Unreachable { address: address.clone(), source };
        let limit = settings.connect_timeout;
        let stream = timeout(limit, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(unreachable)?;
        let (input, assembler) = (BytesMut::new(), Assembler::default());
        let mut opened = Self { stream, input, assembler, frame_max: FRAME_MAX_BEFORE_TUNE, heartbeat_s: 0 };
        timeout(limit, opened.log_in(settings)).await.unwrap_or_else(|_| Err(silent(address, limit)))?;
        Ok(opened)
    }

    async fn log_in(&mut self, settings: &LinkSettings) -> Result<(), ConnectError> {
        self.write(settings, &ProtocolHeader::AMQP_0_9_1).await?;
        match self.method(settings).await? {
            Method::Connection(connection::Method::Start(_)) => {}
            other => return Err(unexpected(&other)),
        }
        self.send(settings, start_ok(settings)).await?;
        let tune = match self.method(settings).await? {
            Method::Connection(connection::Method::Tune(tune)) => tune,
            other => return Err(unexpected(&other)),
        };
        self.frame_max = if tune.frame_max == 0 { FRAME_MAX } else { tune.frame_max.min(FRAME_MAX) };
        self.heartbeat_s = agreed_heartbeat_s(settings.heartbeat_s, tune.heartbeat);
        let tune_ok = connection::TuneOk {
            channel_max: tune.channel_max,
            frame_max: self.frame_max,
            heartbeat: self.heartbeat_s,
        };
        self.send(settings, tune_ok).await?;
        // The length was checked when the address was read.
        let virtual_host = ShortString::from_text_cut(&settings.url.vhost);
        self.send(settings, connection::Open { virtual_host }).await?;
        match self.method(settings).await? {
            Method::Connection(connection::Method::OpenOk(_)) => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn send(&mut self, settings: &LinkSettings, method: impl Into<Method>) -> Result<(), ConnectError> {
        let mut out = Vec::new();
        method.into().encode_frame(&mut out, 0);
        self.write(settings, &out).await
    }

    async fn write(&mut self, settings: &LinkSettings, bytes: &[u8]) -> Result<(), ConnectError> {
        self.stream.write_all(bytes).await.map_err(|source| broken(&settings.url, source))
    }

    /// The next method of the connection; a close is an error.
    async fn method(&mut self, settings: &LinkSettings) -> Result<Method, ConnectError> {
        loop {
            // A broker of another protocol or version answers with its own eight bytes and hangs up.
            if self.input.starts_with(b"AMQP") {
                return Err(Violation::Unexpected { method: "a protocol header", channel: 0 }.into());
            }
            match self.assembler.next(&mut self.input, self.frame_max)? {
                Some(Piece::Whole(incoming)) => return refused_or(incoming.method),
                Some(Piece::Part) => {}
                None => {
                    let read = self.stream.read_buf(&mut self.input).await;
                    if read.map_err(|source| broken(&settings.url, source))? == 0 {
                        return Err(broken(&settings.url, io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
        }
    }
}

fn refused_or(method: Method) -> Result<Method, ConnectError> {
    match method {
        Method::Connection(connection::Method::Close(close)) => {
            Err(ConnectError::Refused { code: close.reply_code, text: close.reply_text.to_string() })
        }
        method => Ok(method),
    }
}

fn broken(url: &Url, source: io::Error) -> ConnectError {
    ConnectError::Unreachable { address: url.address.clone(), source }
}

fn silent(address: &str, waited: Duration) -> ConnectError {
    ConnectError::Silent { address: address.to_owned(), waited_s: waited.as_secs() }
}

fn unexpected(method: &Method) -> ConnectError {
    Violation::Unexpected { method: method.name(), channel: 0 }.into()
}

/// The smaller of both, where 0 asks for none. A client that wants heartbeats gets them.
fn agreed_heartbeat_s(wanted_s: u16, offered_s: u16) -> u16 {
    match (wanted_s, offered_s) {
        (wanted_s, 0) => wanted_s,
        (wanted_s, offered_s) => wanted_s.min(offered_s),
    }
}

fn start_ok(settings: &LinkSettings) -> connection::StartOk {
    // With authentication_failure_close a broker says that the password is wrong instead of hanging up.
    let capabilities: Table = [
        "authentication_failure_close",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
        "publisher_confirms",
    ]
    .into_iter()
    .map(|name| (ShortString::from_static(name), Value::Bool(true)))
    .collect();
    let mut properties: Table = [
        (ShortString::from_static("product"), Value::text(settings.product)),
        (ShortString::from_static("version"), Value::text(env!("CARGO_PKG_VERSION"))),
        (ShortString::from_static("platform"), Value::text("Rust")),
        (ShortString::from_static("capabilities"), Value::Table(capabilities)),
    ]
    .into_iter()
    .collect();
    if let Some(name) = &settings.connection_name {
        properties.push(ShortString::from_static("connection_name"), Value::text(name));
    }
    connection::StartOk {
        client_properties: properties,
        mechanism: ShortString::from_static("PLAIN"),
        response: Bytes::from(format!("\0{}\0{}", settings.url.user, settings.url.password)),
        locale: ShortString::from_static("en_US"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_heartbeat_is_taken() {
        assert_eq!(agreed_heartbeat_s(20, 60), 20);
        assert_eq!(agreed_heartbeat_s(20, 5), 5);
        assert_eq!(agreed_heartbeat_s(20, 0), 20);
        assert_eq!(agreed_heartbeat_s(0, 60), 0);
    }
}
