//! One bit for each message of a page.

use super::page::MESSAGES_PER_PAGE;

const WORDS: usize = MESSAGES_PER_PAGE / 64;

/// A set of indexes below [`MESSAGES_PER_PAGE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits([u64; WORDS]);

impl Bits {
    pub(crate) fn contains(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    pub(crate) fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub(crate) fn remove(&mut self, index: usize) {
        self.0[index / 64] &= !(1 << (index % 64));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The lowest index at or above `from` and below `end` that is in neither set.
    pub(crate) fn first_in_neither(&self, other: &Self, from: usize, end: usize) -> Option<usize> {
        let mut index = from;
        while index < end {
            let free = !(self.0[index / 64] | other.0[index / 64]) >> (index % 64);
            if free != 0 {
                return Some(index + free.trailing_zeros() as usize).filter(|found| *found < end);
            }
            index = (index / 64 + 1) * 64;
        }
        None
    }

    pub(crate) fn words(&self) -> &[u64; WORDS] {
        &self.0
    }

    pub(crate) fn from_words(words: [u64; WORDS]) -> Self {
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_index_in_neither_set() {
        let (mut dead, mut held) = (Bits::default(), Bits::default());
        for index in 0..70 {
            if index % 2 == 0 { dead.insert(index) } else { held.insert(index) }
        }
        assert_eq!(dead.first_in_neither(&held, 0, 512), Some(70));
        assert_eq!(dead.first_in_neither(&held, 0, 70), None);
        dead.remove(64);
        assert_eq!(dead.first_in_neither(&held, 3, 512), Some(64));
        assert_eq!(dead.first_in_neither(&held, 511, 512), Some(511));
    }
}
