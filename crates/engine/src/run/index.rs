//! Where the blocks of a run are, and what is in them.

use broker::Lsn;
use bytes::{Buf, BufMut, Bytes};

use super::Weight;

/// The entries of an index, as they lie on disk: some 50 bytes for each block.
#[derive(Debug, Default)]
pub(crate) struct Index {
    encoded: Bytes,
    /// Where each entry begins.
    starts: Vec<u32>,
}

/// One block, or one row that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry<'a> {
    pub(crate) first_key: &'a [u8],
    /// `None`: its only row stands alone.
    pub(crate) last_key: Option<&'a [u8]>,
    pub(crate) offset: u64,
    /// Bytes of its rows; 0 for a row that is gone.
    pub(crate) length: u32,
    pub(crate) checksum: u32,
    pub(crate) rows: u32,
    /// The lowest and the highest journal entry that its rows name.
    pub(crate) entries: Option<(Lsn, Lsn)>,
}

/// Bytes of an entry behind its keys.
const TAIL_BYTES: usize = 8 + 4 + 4 + 4 + 8 + 8;

impl Index {
    /// Reads an index. `None` if it makes no sense.
    pub(crate) fn decode(encoded: Bytes) -> Option<Self> {
        let mut starts = Vec::new();
        let mut rest = &encoded[..];
        while !rest.is_empty() {
            starts.push(u32::try_from(encoded.len() - rest.len()).ok()?);
            for _ in 0..2 {
                let length = rest.try_get_u16().ok()?;
                rest = rest.get(usize::from(length)..)?;
            }
            rest = rest.get(TAIL_BYTES..)?;
        }
        let index = Self { encoded, starts };
        let entries = || index.entries().zip(index.entries().skip(1));
        let in_order = entries().all(|(one, next)| one.last() < next.first_key);
        (in_order && index.entries().all(|entry| entry.first_key <= entry.last())).then_some(index)
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = IndexEntry<'_>> {
        (0..self.len()).map(|at| self.entry(at))
    }

    /// What the blocks weigh; so many of all rows are gone.
    pub(super) fn weigh(&self, gone: u64) -> Weight {
        let mut weight = Weight::default();
        for entry in self.entries() {
            let kind = if entry.is_alone() { &mut weight.alone } else { &mut weight.others };
            kind.bytes += u64::from(entry.length);
            match entry.is_gone() {
                true => kind.gone += 1,
                false => kind.rows += u64::from(entry.rows),
            }
        }
        weight.others.gone = gone.saturating_sub(weight.alone.gone);
        weight.others.rows = weight.others.rows.saturating_sub(weight.others.gone);
        weight
    }

    /// The place of the block that has the row of this key, if one may have it.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        Some(self.first_from(key)).filter(|at| *at < self.len() && self.entry(*at).first_key <= key)
    }

    /// The place of the first block that may have rows of this key or later ones; one behind all if there is none.
    pub(crate) fn first_from(&self, key: &[u8]) -> usize {
        let (mut from, mut below) = (0, self.len());
        while from < below {
            let middle = from + (below - from) / 2;
            match self.entry(middle).last() < key {
                true => from = middle + 1,
                false => below = middle,
            }
        }
        from
    }

    /// The entry at this place, which there is.
    pub(crate) fn entry(&self, at: usize) -> IndexEntry<'_> {
        let mut rest = &self.encoded[self.starts[at] as usize..];
        let mut key = || {
            let length = usize::from(rest.get_u16());
            let key;
            (key, rest) = rest.split_at(length);
            key
        };
        let (first_key, last_key) = (key(), key());
        let (offset, length, checksum, rows) =
            (rest.get_u64(), rest.get_u32(), rest.get_u32(), rest.get_u32());
        let entries = (Lsn(rest.get_u64()), Lsn(rest.get_u64()));
        IndexEntry {
            first_key,
            last_key: (!last_key.is_empty()).then_some(last_key),
            offset,
            length,
            checksum,
            rows,
            entries: (entries.1 != Lsn::NONE).then_some(entries),
        }
    }
}

impl IndexEntry<'_> {
    pub(crate) fn last(&self) -> &[u8] {
        self.last_key.unwrap_or(self.first_key)
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.last_key.is_none()
    }

    /// There is no such row any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.length == 0
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for key in [self.first_key, self.last_key.unwrap_or_default()] {
            out.put_u16(u16::try_from(key.len()).expect("a key is below 64 KiB"));
            out.put_slice(key);
        }
        out.put_u64(self.offset);
        out.put_u32(self.length);
        out.put_u32(self.checksum);
        out.put_u32(self.rows);
        let (lowest, highest) = self.entries.unwrap_or((Lsn::NONE, Lsn::NONE));
        out.put_u64(lowest.0);
        out.put_u64(highest.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: IndexEntry<'_> = IndexEntry {
        first_key: b"a",
        last_key: Some(b"c"),
        offset: 8,
        length: 100,
        checksum: 7,
        rows: 3,
        entries: None,
    };

    fn encoded(entries: &[IndexEntry<'_>]) -> Bytes {
        let mut out = Vec::new();
        entries.iter().for_each(|entry| entry.encode(&mut out));
        out.into()
    }

    #[test]
    fn entries_round_trip_and_a_cut_one_is_noticed() {
        let alone = IndexEntry { first_key: b"d", last_key: None, entries: Some((Lsn(3), Lsn(9))), ..ENTRY };
        let whole = encoded(&[ENTRY, alone]);
        let index = Index::decode(whole.clone()).unwrap();
        assert_eq!(index.entries().collect::<Vec<_>>(), [ENTRY, alone]);
        assert!(!ENTRY.is_alone() && alone.is_alone());
        let boundary = encoded(&[ENTRY]).len();
        for at in (1..whole.len()).filter(|at| *at != boundary) {
            assert!(Index::decode(whole.slice(..at)).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn the_block_of_any_key_is_found() {
        let alone = |key| IndexEntry { first_key: key, last_key: None, ..ENTRY };
        let block = IndexEntry { first_key: b"m", last_key: Some(b"p"), ..ENTRY };
        let index = Index::decode(encoded(&[ENTRY, alone(b"d"), block])).unwrap();
        let keys = [b"A", b"a", b"b", b"c", b"d", b"e", b"m", b"p", b"q"];
        let found = keys.map(|key| index.find(key));
        assert_eq!(found, [None, Some(0), Some(0), Some(0), Some(1), None, Some(2), Some(2), None]);
        assert_eq!(keys.map(|key| index.first_from(key)), [0, 0, 0, 0, 1, 2, 2, 2, 3]);
    }

    #[test]
    fn keys_out_of_order_are_refused() {
        let second = IndexEntry { first_key: b"c", last_key: None, ..ENTRY };
        assert!(Index::decode(encoded(&[ENTRY, second])).is_none());
        assert!(Index::decode(encoded(&[IndexEntry { first_key: b"d", ..ENTRY }])).is_none());
    }
}
