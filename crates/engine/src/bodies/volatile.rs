//! Envelopes that are not journaled: blocks in memory, and in the journal only when memory runs short.

use std::collections::BTreeMap;

use broker::Lsn;
use bytes::{Bytes, BytesMut};

/// The blocks that still hold a living message, by number, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    blocks: BTreeMap<u64, Block>,
    resident_bytes: u64,
    /// The block that is being filled: it is neither spilled nor dropped.
    open: u64,
    /// No block below is in memory.
    first_resident: u64,
}

#[derive(Debug, Default)]
struct Block {
    /// Messages, and effects on their way, that need the block.
    users: u64,
    home: BlockHome,
}

#[derive(Debug)]
enum BlockHome {
    /// In memory, in consecutive parts: (offset of the first byte, bytes).
    Memory(Vec<(u32, Bytes)>),
    /// In an entry of the journal, from this offset on.
    Journal(Lsn, u32),
}

/// A block that is to leave memory.
pub(crate) struct Spill {
    pub(crate) block: u64,
    pub(crate) bytes: Bytes,
}

impl Default for BlockHome {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Blocks {
    /// Bytes of the blocks in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }

    /// Adds bytes that were written to the block that is being filled.
    pub(crate) fn written(&mut self, block: u64, offset: u32, bytes: Bytes) {
        self.open = block;
        self.add(block, offset, bytes);
    }

    /// Adds the last bytes of a block. A block that has lost all its users meanwhile is gone.
    pub(crate) fn filled(&mut self, block: u64, offset: u32, bytes: Bytes) {
        self.open = block + 1;
        self.add(block, offset, bytes);
        if self.blocks.get(&block).is_some_and(|found| found.users == 0) {
            self.drop_block(block);
        }
    }

    /// More users for a block.
    pub(crate) fn retain(&mut self, block: u64, users: u32) {
        self.blocks.entry(block).or_default().users += u64::from(users);
    }

    /// One user less. A filled block without users is gone.
    pub(crate) fn release(&mut self, block: u64) {
        let Some(found) = self.blocks.get_mut(&block) else { return };
        found.users -= 1;
        if found.users == 0 && block != self.open {
            self.drop_block(block);
        }
    }

    /// The bytes, or the entry that they went to and where the block begins in it.
    pub(crate) fn find(&self, block: u64, offset: u32, length: u32) -> Result<Bytes, (Lsn, u32)> {
        let found = self.blocks.get(&block).expect("a block lives as long as its messages");
        match &found.home {
            BlockHome::Journal(lsn, base) => Err((*lsn, *base)),
            BlockHome::Memory(parts) => {
                let at = parts.partition_point(|(start, _)| *start <= offset) - 1;
                let (start, bytes) = &parts[at];
                let from = (offset - start) as usize;
                Ok(bytes.slice(from..from + length as usize))
            }
        }
    }

    /// The oldest filled block in memory, to be written to the journal.
    pub(crate) fn oldest_resident(&mut self) -> Option<Spill> {
        let (block, parts) = self
            .blocks
            .range(self.first_resident..self.open)
            .find_map(|(number, block)| Some((*number, block.home.parts()?)))?;
        let mut bytes = BytesMut::with_capacity(parts.iter().map(|(_, part)| part.len()).sum());
        parts.iter().for_each(|(_, part)| bytes.extend_from_slice(part));
        self.first_resident = block;
        Some(Spill { block, bytes: bytes.freeze() })
    }

    /// The block's bytes now lie in the journal.
    pub(crate) fn spilled(&mut self, block: u64, lsn: Lsn, base: u32) {
        let Some(found) = self.blocks.get_mut(&block) else { return };
        let before = std::mem::replace(&mut found.home, BlockHome::Journal(lsn, base));
        self.resident_bytes -= before.resident_bytes();
    }

    /// The entries that hold spilled blocks.
    pub(crate) fn spilled_entries(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.blocks.values().filter_map(|block| match block.home {
            BlockHome::Journal(lsn, _) => Some(lsn),
            BlockHome::Memory(_) => None,
        })
    }

    fn add(&mut self, block: u64, offset: u32, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if let BlockHome::Memory(parts) = &mut self.blocks.entry(block).or_default().home {
            self.resident_bytes += bytes.len() as u64;
            parts.push((offset, bytes));
        }
    }

    fn drop_block(&mut self, number: u64) {
        if let Some(block) = self.blocks.remove(&number) {
            self.resident_bytes -= block.home.resident_bytes();
        }
    }
}

impl BlockHome {
    fn parts(&self) -> Option<&Vec<(u32, Bytes)>> {
        match self {
            Self::Memory(parts) => Some(parts),
            Self::Journal(..) => None,
        }
    }

    fn resident_bytes(&self) -> u64 {
        self.parts().map_or(0, |parts| parts.iter().map(|(_, bytes)| bytes.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_lives_as_long_as_its_users() {
        let mut blocks = Blocks::default();
        blocks.retain(1, 2);
        blocks.written(1, 0, vec![7; 10].into());
        blocks.filled(1, 10, vec![8; 10].into());
        assert_eq!(blocks.find(1, 12, 3).unwrap(), vec![8; 3]);
        blocks.release(1);
        assert_eq!(blocks.resident_bytes(), 20);
        blocks.release(1);
        assert_eq!(blocks.resident_bytes(), 0);
    }

    #[test]
    fn a_spilled_block_is_found_in_its_entry() {
        let mut blocks = Blocks::default();
        blocks.retain(1, 1);
        blocks.filled(1, 0, vec![7; 10].into());
        let spill = blocks.oldest_resident().unwrap();
        assert_eq!((spill.block, spill.bytes.len()), (1, 10));
        blocks.spilled(1, Lsn(5), 3);
        assert_eq!((blocks.resident_bytes(), blocks.find(1, 4, 2)), (0, Err((Lsn(5), 3))));
        assert!(blocks.oldest_resident().is_none());
        assert_eq!(blocks.spilled_entries().collect::<Vec<_>>(), [Lsn(5)]);
        blocks.release(1);
        assert_eq!(blocks.spilled_entries().count(), 0);
    }

    #[test]
    fn an_open_block_waits_for_more_and_goes_when_it_is_filled() {
        let mut blocks = Blocks::default();
        blocks.retain(1, 1);
        blocks.written(1, 0, vec![7; 10].into());
        blocks.release(1);
        assert_eq!(blocks.resident_bytes(), 10);
        blocks.filled(1, 10, vec![7; 2].into());
        assert_eq!(blocks.resident_bytes(), 0);
    }
}
