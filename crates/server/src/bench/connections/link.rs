//! The AMQP connection of a worker: whole frames in, whole frames out.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use amqp_wire::{
    Frame, FrameKind, Method, ProtocolHeader, ShortString, Table, channel, connection, next_frame,
};
use bytes::Bytes;

use crate::client::{ClientError, Url, unexpected};

/// A connection with one open channel. The crate's other client reads message by message and keeps no properties,
/// of which a worker needs `reply-to`; this one also writes many replies at once.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    /// Read and not understood yet.
    input: Vec<u8>,
    /// How much of `input` is done with.
    consumed_bytes: usize,
    /// To be written by [`Link::flush`].
    pub(super) output: Vec<u8>,
    pub(super) frame_max: u32,
}

/// The channel of the worker.
pub(super) const CHANNEL: u16 = 1;
const FRAME_MAX: u32 = 131_072;
const READ_BYTES: usize = 64 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

impl Link {
    /// Connects, logs in and opens the channel.
    pub(super) fn open(url: &Url) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(&url.address)
            .map_err(|source| ClientError::Unreachable { address: url.address.clone(), source })?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        let mut link =
            Self { stream, input: Vec::new(), consumed_bytes: 0, output: Vec::new(), frame_max: FRAME_MAX };
        link.log_in(url)?;
        Ok(link)
    }

    fn log_in(&mut self, url: &Url) -> Result<(), ClientError> {
        self.output.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
        match self.next_method()? {
            Method::Connection(connection::Method::Start(_)) => {}
            other => return Err(unexpected(&other)),
        }
        self.send(
            0,
            connection::StartOk {
                client_properties: Table::new(),
                mechanism: ShortString::from_static("PLAIN"),
                response: Bytes::from(format!("\0{}\0{}", url.user, url.password)),
                locale: ShortString::from_static("en_US"),
            },
        );
        match self.next_method()? {
            Method::Connection(connection::Method::Tune(tune)) => {
                let offered = if tune.frame_max == 0 { FRAME_MAX } else { tune.frame_max };
                self.frame_max = offered.min(FRAME_MAX);
                let channel_max = tune.channel_max;
                self.send(0, connection::TuneOk { channel_max, frame_max: self.frame_max, heartbeat: 0 });
            }
            other => return Err(unexpected(&other)),
        }
        self.send(0, connection::Open { virtual_host: ShortString::from_text_cut(&url.vhost) });
        match self.next_method()? {
            Method::Connection(connection::Method::OpenOk(_)) => {}
            other => return Err(unexpected(&other)),
        }
        self.send(CHANNEL, channel::Open {});
        match self.next_method()? {
            Method::Channel(channel::Method::OpenOk(_)) => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Queues a method.
    pub(super) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        method.into().encode_frame(&mut self.output, channel);
    }

    /// Writes what is queued and waits for the next method.
    pub(super) fn next_method(&mut self) -> Result<Method, ClientError> {
        self.flush()?;
        loop {
            if let Some(frame) = self.next_frame()? {
                if frame.kind == FrameKind::Method {
                    return self.method(&frame);
                }
            } else if !self.read_more()? {
                return Err(io::Error::from(ErrorKind::TimedOut).into());
            }
        }
    }

    /// The method of a frame; a close is an error with the broker's words.
    pub(super) fn method(&self, frame: &Frame) -> Result<Method, ClientError> {
        let method =
            Method::decode(self.payload(frame)).map_err(|error| ClientError::Protocol(error.to_string()))?;
        match &method {
            Method::Channel(channel::Method::Close(close)) => {
                Err(ClientError::Refused { code: close.reply_code, text: close.reply_text.to_string() })
            }
            Method::Connection(connection::Method::Close(close)) => {
                Err(ClientError::Refused { code: close.reply_code, text: close.reply_text.to_string() })
            }
            _ => Ok(method),
        }
    }

    /// The next whole frame, if it was read already. Its payload stays until [`Link::read_more`].
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, ClientError> {
        let frame = next_frame(&self.input, self.consumed_bytes, self.frame_max)
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        if let Some(frame) = &frame {
            self.consumed_bytes = frame.end();
        }
        Ok(frame)
    }

    /// The content of a frame.
    pub(super) fn payload(&self, frame: &Frame) -> &[u8] {
        &self.input[frame.payload.clone()]
    }

    /// Writes what is queued.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Reads once; `false` when nothing came within the read timeout.
    pub(super) fn read_more(&mut self) -> io::Result<bool> {
        self.input.drain(..std::mem::take(&mut self.consumed_bytes));
        let start = self.input.len();
        self.input.resize(start + READ_BYTES, 0);
        let outcome = self.stream.read(&mut self.input[start..]);
        self.input.truncate(start + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// How long [`Link::read_more`] waits.
    pub(super) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(timeout))
    }
}
