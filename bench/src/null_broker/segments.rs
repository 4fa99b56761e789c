//! A queue of bytes in pooled buffers.

use std::collections::VecDeque;

use super::pool::Pool;

/// A stretch that is handed over as it is, if it has at least this many bytes; shorter ones are copied together.
///
/// Otherwise a thousand short stretches would each keep a whole buffer.
const HANDED_OVER_BYTES_MIN: usize = 32 * 1024;

/// Bytes in the order in which they were appended. What is appended at once lies in one buffer.
#[derive(Debug, Default)]
pub(super) struct Segments {
    buffers: VecDeque<Vec<u8>>,
}

impl Segments {
    pub(super) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Where to append up to this many bytes.
    pub(super) fn room(&mut self, bytes: usize, pool: &mut Pool) -> &mut Vec<u8> {
        if self.spare_bytes() < bytes {
            let mut buffer = pool.take();
            buffer.reserve(bytes);
            self.buffers.push_back(buffer);
        }
        self.buffers.back_mut().expect("one was pushed if there was none")
    }

    /// Appends a whole buffer: as it is when it is large or the first, by a copy when it is small.
    pub(super) fn push(&mut self, buffer: Vec<u8>, pool: &mut Pool) {
        if buffer.len() < HANDED_OVER_BYTES_MIN && buffer.len() <= self.spare_bytes() {
            self.room(buffer.len(), pool).extend_from_slice(&buffer);
            pool.give(buffer);
        } else {
            self.buffers.push_back(buffer);
        }
    }

    /// Appends what another queue holds.
    pub(super) fn append(&mut self, other: &mut Self, pool: &mut Pool) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            other.buffers.drain(..).for_each(|buffer| self.push(buffer, pool));
        }
    }

    /// Takes the first buffer.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        self.buffers.pop_front()
    }

    fn spare_bytes(&self) -> usize {
        self.buffers.back().map_or(0, |buffer| buffer.capacity() - buffer.len())
    }
}

/// Whether a stretch of this length is worth a buffer of its own.
pub(super) fn is_handed_over(bytes: usize) -> bool {
    bytes >= HANDED_OVER_BYTES_MIN
}
