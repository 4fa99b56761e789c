//! What runs have said of a table.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::changes::{bounds, row_bytes};
use super::coverage::Coverage;

/// Rows as runs have them, which leave memory when it is short.
#[derive(Debug)]
pub(super) struct Answers {
    /// Without a value: no run has it.
    rows: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// Keys that are here if they are anywhere.
    pub(super) coverage: Coverage,
    bytes: u64,
}

impl Answers {
    /// Of runs that have nothing.
    pub(super) fn of_nothing() -> Self {
        Self { rows: BTreeMap::new(), coverage: Coverage::of_all(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is known of a key: its value, or that no run has it.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        match self.rows.get(key) {
            Some(value) => Some(value.as_ref()),
            None => self.coverage.contains(key).then_some(None),
        }
    }

    pub(super) fn insert(&mut self, key: &[u8], value: Option<Bytes>) {
        self.forget(key);
        if value.is_none() && self.coverage.contains(key) {
            return;
        }
        self.bytes += row_bytes(key, value.as_ref());
        self.rows.insert(key.to_vec(), value);
    }

    /// Something newer is known of this key.
    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(former) = self.rows.remove(key) {
            self.bytes -= row_bytes(key, former.as_ref());
        }
    }

    /// The rows of a range of keys, the first of which is not behind the end.
    pub(super) fn range<'a>(
        &'a self,
        from: &[u8],
        below: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a Bytes>)> + use<'a> {
        self.rows.range::<[u8], _>(bounds(from, below)).map(|(key, value)| (&key[..], value.as_ref()))
    }

    /// Lets rows go, the last first, until so many bytes are freed: what is in front is what comes next in all tables that are read
    /// in order, and in the others one is as good as another.
    pub(super) fn evict(&mut self, bytes: u64) {
        let (mut freed, mut first) = (0, None);
        while freed < bytes
            && let Some((key, value)) = self.rows.pop_last()
        {
            freed += row_bytes(&key, value.as_ref());
            first = Some(key);
        }
        self.bytes -= freed;
        if let Some(first) = first {
            self.coverage.truncate(&first);
        }
    }
}
