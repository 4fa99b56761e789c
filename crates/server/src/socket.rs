//! A client's socket with its two buffers.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::buffers::{LARGE_BYTES, SMALL_BYTES};
use crate::node::Node;

/// A socket that reads much at once and writes once. Both buffers come from the pool and go back when they
/// are empty, so that a silent connection holds none.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    input: BytesMut,
    output: Vec<u8>,
    /// How much of `output` has left already.
    written_bytes: usize,
    /// The last read filled its buffer: the next one gets a larger.
    flooded: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// There was something.
    Some,
    /// There is nothing at the moment.
    Nothing,
    /// The peer has closed its side.
    End,
}

impl Socket {
    /// Below this much free room a read is not worth its call, in bytes.
    const ROOM_BYTES_MIN: usize = 16 * 1024;
    /// How long a peer may take to read our last words, and then to close its side.
    const LINGER: Duration = Duration::from_secs(1);

    /// Takes over a socket.
    #[must_use]
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, input: BytesMut::new(), output: Vec::new(), written_bytes: 0, flooded: false }
    }

    /// Waits until the socket can be read, or written, if that is wanted; without end if neither is.
    pub(crate) async fn ready(&self, read: bool, write: bool) {
        let interest = match (read, write) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return std::future::pending().await,
        };
        // The error of a broken socket comes again from the call that follows.
        let _readiness = self.stream.ready(interest).await;
    }

    /// Reads once, as much as there is room for.
    ///
    /// # Errors
    /// Those of the socket; it is useless then.
    pub(crate) fn read(&mut self, node: &Node) -> io::Result<Read> {
        let room_bytes = self.make_room(node);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Ok(Read::End),
            Ok(count) => {
                node.statistics.bytes_received.add(count as u64);
                self.flooded = count >= room_bytes;
                Ok(Read::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => Err(error),
        }
    }

    /// True if the last read has filled its buffer.
    pub(crate) fn is_flooded(&self) -> bool {
        self.flooded
    }

    fn make_room(&mut self, node: &Node) -> usize {
        if self.input.capacity() == 0 {
            self.input = node.buffers.take_input(self.flooded);
        } else if self.input.capacity() - self.input.len() < Self::ROOM_BYTES_MIN {
            // Takes back what was understood, if nobody holds it; else moves the rest to a new buffer.
            self.input.reserve(if self.flooded { LARGE_BYTES } else { SMALL_BYTES } - Self::ROOM_BYTES_MIN);
        }
        self.input.capacity() - self.input.len()
    }

    /// What was read and not yet understood, and where to put what is to be written.
    pub(crate) fn buffers(&mut self, node: &Node) -> (&mut BytesMut, &mut Vec<u8>) {
        if self.output.capacity() == 0 {
            self.output = node.buffers.take_output();
        }
        (&mut self.input, &mut self.output)
    }

    /// Bytes that are still to be written.
    #[must_use]
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.output.len() - self.written_bytes
    }

    /// Writes as much as the socket takes at the moment.
    ///
    /// # Errors
    /// Those of the socket; it is useless then.
    pub(crate) fn write(&mut self, node: &Node) -> io::Result<()> {
        while self.unwritten_bytes() > 0 {
            match self.stream.try_write(&self.output[self.written_bytes..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    node.statistics.bytes_sent.add(count as u64);
                    self.written_bytes += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written_bytes = 0;
        Ok(())
    }

    /// Writes what is left, as far as the peer takes it within a moment.
    ///
    /// # Errors
    /// Those of the socket, or that the peer does not take it.
    pub(crate) async fn flush(&mut self, node: &Node) -> io::Result<()> {
        let until_written = async {
            while self.unwritten_bytes() > 0 {
                self.ready(false, true).await;
                self.write(node)?;
            }
            Ok(())
        };
        tokio::time::timeout(Self::LINGER, until_written).await?
    }

    /// Gives back the buffers that hold nothing.
    pub(crate) fn rest(&mut self, node: &Node) {
        if self.input.is_empty() && self.input.capacity() > 0 {
            node.buffers.give_input_back(std::mem::take(&mut self.input));
        }
        if self.output.is_empty() && self.output.capacity() > 0 {
            node.buffers.give_output_back(std::mem::take(&mut self.output));
        }
    }

    /// Says that nothing more will come, and waits a moment for the peer to do the same. Closing with unread
    /// input would reset the connection, and the peer might never see what was written last.
    pub(crate) async fn linger(&mut self, node: &Node) {
        // A peer that is gone already makes this fail, and is what we wait for.
        let _shut = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write);
        let until_end = async {
            loop {
                self.ready(true, false).await;
                self.input.clear();
                match self.read(node) {
                    Ok(Read::Some | Read::Nothing) => {}
                    Ok(Read::End) | Err(_) => return,
                }
            }
        };
        let _in_time = tokio::time::timeout(Self::LINGER, until_end).await;
        self.input.clear();
        self.output.clear();
        self.rest(node);
    }
}
