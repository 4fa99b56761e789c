//! Buffers that are used again and again.

/// What a buffer holds, in bytes: enough that calls cost little, little enough that several stay in a core's cache.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

/// More free buffers than this are given back to the allocator.
const FREE_MAX: usize = 64;

/// Free buffers. The one given back last is taken first: it is warm.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Vec<Vec<u8>>,
}

impl Pool {
    /// An empty buffer with room for [`BUFFER_BYTES`].
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Takes a buffer back. One that has grown for a large message is dropped.
    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() == BUFFER_BYTES && self.free.len() < FREE_MAX {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}
