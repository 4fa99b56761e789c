//! Rows of a table that have changed.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// Rows that have changed, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    rows: BTreeMap<Vec<u8>, Change>,
    bytes: u64,
}

/// What has become of a row.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Its value; nothing if there is no such row any more.
    pub(super) value: Option<Bytes>,
    /// Nothing older has a row of this key: if it goes, it leaves no trace.
    pub(super) is_new: bool,
}

/// What a row takes in memory beside its key and its value.
const ROW_BYTES: u64 = 96;

/// Bytes of memory that a row takes.
pub(super) fn row_bytes(key: &[u8], value: Option<&Bytes>) -> u64 {
    ROW_BYTES + (key.len() + value.map_or(0, Bytes::len)) as u64
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Change> {
        self.rows.get(key)
    }

    pub(super) fn insert(&mut self, key: &[u8], change: Change) {
        self.bytes += row_bytes(key, change.value.as_ref());
        if let Some(former) = self.rows.insert(key.to_vec(), change) {
            self.bytes -= row_bytes(key, former.value.as_ref());
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        if let Some(former) = self.rows.remove(key) {
            self.bytes -= row_bytes(key, former.value.as_ref());
        }
    }

    /// The rows in the order of their keys; without a value where there is none any more.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&Bytes>)> {
        self.rows.iter().map(|(key, change)| (&key[..], change.value.as_ref()))
    }

    /// The rows of a range of keys, the first of which is not behind the end.
    pub(super) fn range<'a>(
        &'a self,
        from: &[u8],
        below: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a Bytes>)> + use<'a> {
        let rows = self.rows.range::<[u8], _>(bounds(from, below));
        rows.map(|(key, change)| (&key[..], change.value.as_ref()))
    }
}

/// A range of keys as the standard library has it.
pub(super) fn bounds<'a>(from: &'a [u8], below: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), below.map_or(Bound::Unbounded, Bound::Excluded))
}
