//! The memory that entries are written into.

use bytes::{Bytes, BytesMut};

/// Chunks of memory for open entries, used again and again.
///
/// Entries are cut out of large chunks one behind the other: a small entry does not cost an allocation, and a large
/// one does not keep twice its size as a buffer that grew would. A chunk whose entries have all left the cache is
/// filled anew, because memory that comes fresh from the system costs a page fault every 4 KiB, which is more than
/// the copying of a message.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    spare: Vec<BytesMut>,
}

impl Chunks {
    /// Bytes of a chunk.
    pub(crate) const CHUNK_BYTES: usize = 4 * 1024 * 1024;
    /// Chunks that are kept for reuse.
    const SPARE_MAX: usize = 2;

    /// Makes room for an entry of `bytes` bytes behind the last one. How many bytes of the old chunk are left unused
    /// by that.
    pub(crate) fn make_room(&mut self, entry: &mut BytesMut, bytes: usize) -> usize {
        debug_assert!(entry.is_empty(), "the room is for the next entry");
        let rest = entry.capacity();
        if rest >= bytes {
            return 0;
        }
        *entry = self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(Self::CHUNK_BYTES.max(bytes)));
        rest
    }

    /// Takes an entry that has left the cache, and with it its chunk if it was the last user of it.
    pub(crate) fn take_back(&mut self, entry: Bytes) {
        if self.spare.len() == Self::SPARE_MAX {
            return;
        }
        let Ok(mut chunk) = entry.try_into_mut() else { return };
        chunk.clear();
        if chunk.try_reclaim(Self::CHUNK_BYTES) && chunk.capacity() < 2 * Self::CHUNK_BYTES {
            self.spare.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_back_with_the_last_of_its_entries() {
        let mut chunks = Chunks::default();
        let mut open = BytesMut::new();
        assert_eq!(chunks.make_room(&mut open, 1000), 0);
        let address = open.as_ptr();
        let mut cut = |bytes: usize, chunks: &mut Chunks| {
            open.resize(bytes, 1);
            let entry = open.split().freeze();
            (entry, chunks.make_room(&mut open, 1000))
        };
        let (first, unused) = cut(Chunks::CHUNK_BYTES - 5000, &mut chunks);
        assert_eq!(unused, 0);
        let (second, unused) = cut(4500, &mut chunks);
        assert_eq!(unused, 500);
        chunks.take_back(first);
        assert!(chunks.spare.is_empty());
        chunks.take_back(second);
        assert_eq!(chunks.spare.len(), 1);
        assert_eq!((chunks.spare[0].as_ptr(), chunks.spare[0].capacity()), (address, Chunks::CHUNK_BYTES));
    }
}
