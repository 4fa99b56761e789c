//! Large buffers that are used again and again.
//!
//! A fresh large buffer costs a page fault every 4 KB; a recycled one costs a lock. Connections take a buffer
//! when there is something to read or to write and give it back when that is done, so that an idle one holds
//! none.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;

/// Recycled buffers, shared by all connections. Keeps at most 48 MB for later.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    small_inputs: Shelf<BytesMut>,
    large_inputs: Shelf<BytesMut>,
    outputs: Shelf<Vec<u8>>,
}

/// What a connection reads and writes with as a rule, in bytes: measured, 64 KB takes nearly all that can be had.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;

/// What a connection reads with under flood, in bytes. Beyond it only latency grows.
pub(crate) const LARGE_BYTES: usize = 256 * 1024;

/// A buffer that grew beyond this, in bytes, is freed: one large message must not fatten the pool for ever.
const KEPT_BYTES_MAX: usize = 2 * LARGE_BYTES;

impl BufferPool {
    const SMALL_INPUTS_MAX: usize = 256;
    const LARGE_INPUTS_MAX: usize = 32;
    const OUTPUTS_MAX: usize = 32;

    /// An empty buffer for reading: [`LARGE_BYTES`] for a flooded connection, else [`SMALL_BYTES`].
    #[must_use]
    pub(crate) fn take_input(&self, flooded: bool) -> BytesMut {
        let (shelf, bytes) =
            if flooded { (&self.large_inputs, LARGE_BYTES) } else { (&self.small_inputs, SMALL_BYTES) };
        shelf.take().unwrap_or_else(|| BytesMut::with_capacity(bytes))
    }

    /// An empty buffer for writing, of [`SMALL_BYTES`] or more.
    #[must_use]
    pub(crate) fn take_output(&self) -> Vec<u8> {
        self.outputs.take().unwrap_or_else(|| Vec::with_capacity(SMALL_BYTES))
    }

    /// Takes a buffer back, whatever is in it. One that has grown far, or that someone still holds a slice
    /// of, is freed with its last slice instead.
    pub(crate) fn give_input_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        // Clearing does not bring back what was split off the front; this does, if nobody holds it.
        let whole = buffer.try_reclaim(LARGE_BYTES) || buffer.try_reclaim(SMALL_BYTES);
        match buffer.capacity() {
            LARGE_BYTES..=KEPT_BYTES_MAX if whole => self.large_inputs.put(buffer, Self::LARGE_INPUTS_MAX),
            SMALL_BYTES..LARGE_BYTES if whole => self.small_inputs.put(buffer, Self::SMALL_INPUTS_MAX),
            _ => {}
        }
    }

    /// Takes a buffer back, whatever is in it. One that has grown far is freed instead.
    pub(crate) fn give_output_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if (SMALL_BYTES..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
            self.outputs.put(buffer, Self::OUTPUTS_MAX);
        }
    }
}

/// Buffers of one kind. The last one put is the first taken, since it is still in the processor's cache.
#[derive(Debug)]
struct Shelf<Buffer>(Mutex<Vec<Buffer>>);

impl<Buffer> Shelf<Buffer> {
    fn take(&self) -> Option<Buffer> {
        self.lock().pop()
    }

    fn put(&self, buffer: Buffer, buffers_max: usize) {
        let mut buffers = self.lock();
        if buffers.len() < buffers_max {
            buffers.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Buffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Buffer> Default for Shelf<Buffer> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelved(pool: &BufferPool) -> (usize, usize) {
        (pool.small_inputs.lock().len(), pool.large_inputs.lock().len())
    }

    #[test]
    fn a_buffer_comes_back_empty_and_whole() {
        let pool = BufferPool::default();
        let mut buffer = pool.take_input(false);
        buffer.extend_from_slice(b"frame");
        drop(buffer.split_to(3).freeze());
        pool.give_input_back(buffer);
        assert_eq!(shelved(&pool), (1, 0));
        let again = pool.take_input(false);
        assert!(again.is_empty());
        assert!(again.capacity() >= SMALL_BYTES);
        assert_eq!(shelved(&pool), (0, 0));
    }

    #[test]
    fn a_buffer_that_is_still_read_is_not_recycled() {
        let pool = BufferPool::default();
        let mut buffer = pool.take_input(false);
        buffer.extend_from_slice(&[7; 1000]);
        let body = buffer.split_to(1000).freeze();
        pool.give_input_back(buffer);
        assert_eq!(shelved(&pool), (0, 0));
        assert_eq!(body, [7; 1000][..]);
    }

    #[test]
    fn sizes_do_not_mix_and_giants_are_freed() {
        let pool = BufferPool::default();
        pool.give_input_back(pool.take_input(true));
        assert_eq!(shelved(&pool), (0, 1));
        pool.give_input_back(BytesMut::with_capacity(64 * 1024 * 1024));
        pool.give_input_back(BytesMut::new());
        assert_eq!(shelved(&pool), (0, 1));
        pool.give_output_back(Vec::with_capacity(64 * 1024 * 1024));
        assert!(pool.outputs.take().is_none());
    }
}
