//! Which keys a run may have, so that a look-up passes over the runs that do not have the row.
//!
//! A filter is about so many keys that stand one behind the other in one table: ten bits for each, seven of them set. So a run says of one
//! key in a hundred that it may have it and does not. Filters stay in memory, and hold for what is gone as well: that a row is gone is
//! something to be found.

use std::cmp::Ordering;

use bytes::{Buf, BufMut, Bytes};

/// A filter is closed at the end of the block in which it has so many keys: what a writer has to keep of them is bounded.
const KEYS: usize = 4096;
const BITS_PER_KEY: usize = 10;
const BITS_SET: usize = 7;
const BYTES_MIN: usize = 8;

/// The filters of a run, as they lie on disk.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    encoded: Bytes,
    /// Where each of them begins.
    starts: Vec<u32>,
}

/// Keys from the first to the last, and the bits of those among them that are there.
struct Filter<'a> {
    first_key: &'a [u8],
    last_key: &'a [u8],
    bits: &'a [u8],
}

impl Filters {
    /// Reads filters. `None` if they make no sense.
    pub(super) fn decode(encoded: Bytes) -> Option<Self> {
        let (mut starts, mut rest) = (Vec::new(), &encoded[..]);
        let mut last = None;
        while !rest.is_empty() {
            starts.push(u32::try_from(encoded.len() - rest.len()).ok()?);
            let filter = read(&mut rest)?;
            if last.is_some_and(|last| last >= filter.first_key) || filter.first_key > filter.last_key {
                return None;
            }
            last = Some(filter.last_key);
        }
        Some(Self { encoded, starts })
    }

    /// Whether there may be a row of this key. True for all keys that no filter is about.
    pub(crate) fn may_have(&self, key: &[u8]) -> bool {
        let found = self.starts.binary_search_by(|start| {
            let filter = self.filter(*start);
            match (filter.first_key.cmp(key), filter.last_key.cmp(key)) {
                (Ordering::Greater, _) => Ordering::Greater,
                (_, Ordering::Less) => Ordering::Less,
                _ => Ordering::Equal,
            }
        });
        found.map_or(true, |at| {
            let bits = self.filter(self.starts[at]).bits;
            places(hash(key), bits.len()).all(|place| bits[place / 8] & 1 << (place % 8) != 0)
        })
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    fn filter(&self, start: u32) -> Filter<'_> {
        read(&mut &self.encoded[start as usize..]).expect("checked when it was read")
    }
}

/// Builds the filters of a run.
#[derive(Default)]
pub(super) struct FiltersWriter {
    encoded: Vec<u8>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    hashes: Vec<u64>,
}

impl FiltersWriter {
    /// Takes in a key. Keys ascend.
    pub(super) fn add(&mut self, key: &[u8]) {
        if self.hashes.is_empty() {
            self.first_key = key.to_vec();
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.hashes.push(hash(key));
    }

    /// A block ends with the last key: so no block has keys of two filters.
    pub(super) fn block_ended(&mut self) {
        if self.hashes.len() >= KEYS {
            self.close();
        }
    }

    /// The keys that come are of another table.
    pub(super) fn close(&mut self) {
        if self.hashes.is_empty() {
            return;
        }
        let mut bits = vec![0u8; (self.hashes.len() * BITS_PER_KEY).div_ceil(8).max(BYTES_MIN)];
        for hash in self.hashes.drain(..) {
            places(hash, bits.len()).for_each(|place| bits[place / 8] |= 1 << (place % 8));
        }
        for key in [&self.first_key, &self.last_key] {
            self.encoded.put_u16(u16::try_from(key.len()).expect("a key is below 64 KiB"));
            self.encoded.put_slice(key);
        }
        self.encoded.put_u32(u32::try_from(bits.len()).expect("a filter is about some thousand keys"));
        self.encoded.put_slice(&bits);
    }

    /// The filters, as they are written down.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.encoded
    }
}

fn read<'a>(rest: &mut &'a [u8]) -> Option<Filter<'a>> {
    let mut take = |length: usize| {
        let (taken, left) = rest.split_at_checked(length)?;
        *rest = left;
        Some(taken)
    };
    let mut key = || {
        let length = take(2)?.get_u16();
        take(length.into())
    };
    let (first_key, last_key) = (key()?, key()?);
    let length = take(4)?.get_u32() as usize;
    let bits = take(length).filter(|bits| bits.len() >= BYTES_MIN)?;
    Some(Filter { first_key, last_key, bits })
}

/// The bits that stand for a key, in a filter of so many bytes.
fn places(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let bits = bytes as u64 * 8;
    let hashes = std::iter::successors(Some(hash), |hash| Some(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    hashes.take(BITS_SET).map(move |hash| (((hash >> 32) * bits) >> 32) as usize)
}

/// FNV-1a with the finish of MurmurHash3. It stands on disks: it never changes.
fn hash(key: &[u8]) -> u64 {
    let fnv = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Vec<u8> {
        [&b"D"[..], &number.to_be_bytes()].concat()
    }

    /// Filters of every second number.
    fn filters(keys: u64) -> Filters {
        let mut writer = FiltersWriter::default();
        for number in 0..keys {
            writer.add(&key(number * 2));
            if number % 30 == 0 {
                writer.block_ended();
            }
        }
        Filters::decode(writer.finish().into()).unwrap()
    }

    #[test]
    fn what_is_there_is_never_denied_and_one_in_a_hundred_others_is_not() {
        let keys = 50_000;
        let filters = filters(keys);
        assert_eq!(filters.starts.len(), 13);
        assert!((0..keys).all(|number| filters.may_have(&key(number * 2))));
        let wrong = (0..keys - 1).filter(|number| filters.may_have(&key(number * 2 + 1))).count();
        assert!(wrong as u64 > 0 && (wrong as u64) < keys * 13 / 1000, "{wrong} of {keys}");
        assert!(filters.encoded.len() as u64 <= keys * 13 / 10, "{} bytes", filters.encoded.len());
    }

    #[test]
    fn what_no_filter_is_about_may_be_there() {
        let filters = filters(10);
        assert!(filters.may_have(&key(100)) && filters.may_have(b"A"));
        assert!(Filters::default().may_have(&key(2)));
    }

    #[test]
    fn a_table_between_two_others_is_not_taken_for_theirs() {
        let mut writer = FiltersWriter::default();
        writer.add(b"K1");
        writer.close();
        writer.add(b"U1");
        let filters = Filters::decode(writer.finish().into()).unwrap();
        assert!(filters.may_have(b"T1"));
    }

    #[test]
    fn a_cut_filter_is_noticed() {
        let whole = filters(5).encoded;
        for at in 1..whole.len() {
            assert!(Filters::decode(whole.slice(..at)).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn filters_of_today_are_read_for_ever() {
        let hashes = [0xefd0_1f60_ba99_2926, 0x3493_a34f_b588_85f8, 0x55ba_6e1e_7cdb_9063];
        assert_eq!([hash(b""), hash(b"D"), hash(b"Dkey")], hashes);
        assert_eq!(places(hash(b"Dkey"), 40).collect::<Vec<_>>(), [107, 134, 12, 80, 0, 57, 206]);
    }
}
