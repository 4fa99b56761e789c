//! Memory that entries are read into.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::session::lock;

/// Buffers that are used again. Memory that comes fresh from the system costs a page fault every 4 KiB, which is more than the
/// copying of what is read into it.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer that comes back when it is dropped.
struct Lent {
    bytes: Vec<u8>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Buffers that are kept.
const SPARE_MAX: usize = 4;

/// Smaller ones are not kept: an allocator has them at hand.
const BYTES_MIN: usize = 64 * 1024;

/// Larger ones are not kept: they are rare.
const BYTES_MAX: usize = 2 * 1024 * 1024;

impl Buffers {
    /// A buffer of so many bytes, whatever they are.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut spare = lock(&self.spare);
        // Not much larger than needed: whoever keeps it counts the bytes that it asked for.
        let fitting = spare.iter().position(|buffer| (bytes..=2 * bytes).contains(&buffer.capacity()));
        let mut buffer = fitting.map(|at| spare.swap_remove(at)).unwrap_or_default();
        drop(spare);
        buffer.resize(bytes, 0);
        buffer
    }

    /// Gives the memory back.
    pub(super) fn rest(&self) {
        lock(&self.spare).clear();
    }

    /// Hands the buffer out, to come back when nobody needs it any more.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        if !(BYTES_MIN..=BYTES_MAX).contains(&bytes.capacity()) {
            return bytes.into();
        }
        Bytes::from_owner(Lent { bytes, spare: Arc::clone(&self.spare) })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spare = lock(&self.spare);
        if spare.len() == SPARE_MAX {
            spare.remove(0);
        }
        spare.push(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_is_taken_again_if_it_fits() {
        let buffers = Buffers::default();
        let bytes = buffers.lend(buffers.take(100_000));
        let (address, part) = (bytes.as_ptr(), bytes.slice(10..20));
        drop(bytes);
        assert!(lock(&buffers.spare).is_empty(), "a part is still there");
        drop(part);
        assert_eq!(buffers.take(1000).capacity(), 1000, "it is much too large for this");
        let again = buffers.take(60_000);
        assert_eq!((again.as_ptr(), again.len()), (address, 60_000));
        drop(buffers.lend(vec![0; 1000]));
        assert!(lock(&buffers.spare).is_empty());
    }
}
