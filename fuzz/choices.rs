//! Bytes as a source of choices: what a fuzzer, or a random test, decides with.

#![allow(dead_code, reason = "not every decision is of each kind")]

/// Choices out of bytes, one after the other. Behind the last byte every choice is the first one.
pub(crate) struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Whether all bytes are used up.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// True once in `many` times, and never behind the last byte.
    pub(crate) fn rarely(&mut self, many: u8) -> bool {
        self.byte() % many == 1
    }

    pub(crate) fn one_of<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }

    /// The bytes that are left, `max` at most.
    pub(crate) fn rest(&mut self, max: usize) -> Vec<u8> {
        let (taken, rest) = self.bytes.split_at(self.bytes.len().min(max));
        self.bytes = rest;
        taken.to_vec()
    }
}
