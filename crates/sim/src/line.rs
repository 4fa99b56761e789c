//! A connection between a client and the server: two pipes that can be cut at any byte.

use bytes::{Bytes, BytesMut};

use crate::random::Random;

/// The number of a connection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineId(pub u64);

impl std::fmt::Display for LineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.0)
    }
}

/// Bytes that one side of a connection holds for a socket that is slow to take them.
const PIPE_BYTES_MAX: usize = 64 * 1024;

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: BytesMut,
    /// Nothing more comes in: what is there is the last.
    is_cut: bool,
}

/// Both directions.
#[derive(Debug, Default)]
pub struct Line {
    /// From the client to the server.
    pub to_server: Pipe,
    /// From the server to the client.
    pub to_client: Pipe,
}

impl Pipe {
    /// Takes bytes, as many as there is room for. How many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_cut {
            // As a socket whose other end is gone and does not say so.
            return bytes.len();
        }
        let taken = bytes.len().min(PIPE_BYTES_MAX.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Gives bytes out, cut wherever chance wants it.
    pub fn read(&mut self, random: &mut Random) -> Bytes {
        let all = self.bytes.len();
        let part = match all {
            0 => 0,
            _ if random.percent(80) => all,
            _ => random.between(1, all as u64) as usize,
        };
        self.bytes.split_to(part).freeze()
    }

    /// Ends the direction: of what is on its way only a part arrives.
    pub fn cut(&mut self, random: &mut Random) {
        if !self.is_cut {
            let rest = random.between(0, self.bytes.len() as u64) as usize;
            self.bytes.truncate(rest);
            self.is_cut = true;
        }
    }

    /// Ends the direction in peace: what is on its way arrives.
    pub fn close(&mut self) {
        self.is_cut = true;
    }

    /// Nothing is there and nothing comes any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_cut && self.bytes.is_empty()
    }

    /// Something is on its way.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// There is room for more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.is_cut || self.bytes.len() < PIPE_BYTES_MAX
    }
}
