//! The memory that entries are written into.

use bytes::{Bytes, BytesMut};

/// Chunks of memory for open entries, used again and again.
///
/// Entries are cut out of large chunks one behind the other: a small entry does not cost an allocation, and a large
/// one does not keep twice its size as a buffer that grew would. A chunk whose entries have all left the cache is
/// filled anew, because memory that comes fresh from the system costs a page fault every 4 KiB, which is more than
/// the copying of a message.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Bytes of a chunk.
    chunk_bytes: usize,
    spare: Vec<BytesMut>,
}

impl Chunks {
    const CHUNK_BYTES_MIN: usize = 64 * 1024;
    const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;
    /// A chunk is no larger than one in this many parts of the cache: all of it stays until its last entry leaves the cache.
    const SHARE_OF_CACHE: u64 = 16;
    /// Chunks that are kept for reuse.
    const SPARE_MAX: usize = 2;

    /// Chunks for a cache of so many bytes.
    pub(crate) fn new(cache_bytes: u64) -> Self {
        let share = usize::try_from(cache_bytes / Self::SHARE_OF_CACHE).unwrap_or(usize::MAX);
        Self { chunk_bytes: share.clamp(Self::CHUNK_BYTES_MIN, Self::CHUNK_BYTES_MAX), spare: Vec::new() }
    }

    /// Makes room for an entry of `bytes` bytes behind the last one, or for a third of a chunk if that is less: then an entry that
    /// becomes larger moves. How many bytes of the old chunk are left unused by that.
    pub(crate) fn make_room(&mut self, entry: &mut BytesMut, bytes: usize) -> usize {
        debug_assert!(entry.is_empty(), "the room is for the next entry");
        let (rest, bytes) = (entry.capacity(), bytes.min(self.chunk_bytes / 3));
        if rest >= bytes {
            return 0;
        }
        *entry = self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(self.chunk_bytes));
        rest
    }

    /// Takes an entry that has left the cache, and with it its chunk if it was the last user of it.
    pub(crate) fn take_back(&mut self, entry: Bytes) {
        if self.spare.len() == Self::SPARE_MAX {
            return;
        }
        let Ok(mut chunk) = entry.try_into_mut() else { return };
        chunk.clear();
        if chunk.try_reclaim(self.chunk_bytes) && chunk.capacity() < 2 * self.chunk_bytes {
            self.spare.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_back_with_the_last_of_its_entries() {
        let mut chunks = Chunks::new(256 << 20);
        let chunk_bytes = Chunks::CHUNK_BYTES_MAX;
        let mut open = BytesMut::new();
        assert_eq!(chunks.make_room(&mut open, 1000), 0);
        let address = open.as_ptr();
        let mut cut = |bytes: usize, chunks: &mut Chunks| {
            open.resize(bytes, 1);
            let entry = open.split().freeze();
            (entry, chunks.make_room(&mut open, 1000))
        };
        let (first, unused) = cut(chunk_bytes - 5000, &mut chunks);
        assert_eq!(unused, 0);
        let (second, unused) = cut(4500, &mut chunks);
        assert_eq!(unused, 500);
        chunks.take_back(first);
        assert!(chunks.spare.is_empty());
        chunks.take_back(second);
        assert_eq!(chunks.spare.len(), 1);
        assert_eq!((chunks.spare[0].as_ptr(), chunks.spare[0].capacity()), (address, chunk_bytes));
    }

    #[test]
    fn a_small_cache_has_small_chunks_and_an_entry_may_outgrow_one() {
        let mut chunks = Chunks::new(256 << 10);
        let mut open = BytesMut::new();
        chunks.make_room(&mut open, 1 << 20);
        assert_eq!(open.capacity(), Chunks::CHUNK_BYTES_MIN);
        open.resize(50_000, 1);
        let small = open.split().freeze();
        assert_eq!(chunks.make_room(&mut open, 1 << 20), Chunks::CHUNK_BYTES_MIN - 50_000);
        open.resize(1 << 20, 2);
        let large = open.split().freeze();
        assert!(small.iter().all(|byte| *byte == 1) && large.iter().all(|byte| *byte == 2));
        chunks.take_back(large);
        assert!(chunks.spare.is_empty(), "a chunk that has grown is none of a small cache");
        chunks.take_back(small);
        assert_eq!(chunks.spare[0].capacity(), Chunks::CHUNK_BYTES_MIN);
    }
}
