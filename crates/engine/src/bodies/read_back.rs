//! Parts of older entries that were read again.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use broker::Lsn;
use bytes::Bytes;

/// A cache of parts of entries, oldest read out first.
///
/// Messages leave a queue in the order in which they lie in the journal, mostly, so what was read first is also done
/// with first.
#[derive(Debug)]
pub(crate) struct ReadBack {
    parts: BTreeMap<(Lsn, u32), Bytes>,
    order: VecDeque<(Lsn, u32)>,
    bytes: u64,
    budget_bytes: u64,
    /// Where something was last found: the next is mostly there too. Empty if nowhere.
    last: (Lsn, u32, Bytes),
}

impl ReadBack {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        let (parts, order) = (BTreeMap::new(), VecDeque::new());
        Self { parts, order, bytes: 0, budget_bytes, last: (Lsn::NONE, 0, Bytes::new()) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that it keeps at most, but for the newest part.
    pub(crate) fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    /// Adds a part. The newest one always stays, however large: somebody waits for it.
    pub(crate) fn insert(&mut self, lsn: Lsn, start: u32, bytes: Bytes) {
        self.bytes += bytes.len() as u64;
        match self.parts.insert((lsn, start), bytes) {
            Some(replaced) => self.bytes -= replaced.len() as u64,
            None => self.order.push_back((lsn, start)),
        }
        while self.bytes > self.budget_bytes && self.order.len() > 1 {
            let oldest = self.order.pop_front().expect("more than one");
            self.bytes -= self.parts.remove(&oldest).map_or(0, |part| part.len() as u64);
            if (self.last.0, self.last.1) == oldest {
                self.last = (Lsn::NONE, 0, Bytes::new());
            }
        }
    }

    pub(crate) fn find(&mut self, lsn: Lsn, range: Range<u32>) -> Option<Bytes> {
        let (last_lsn, start, part) = &self.last;
        if let Some(found) = slice(*start, part, &range).filter(|_| *last_lsn == lsn) {
            return Some(found);
        }
        let (&(_, start), part) = self.parts.range((lsn, 0)..=(lsn, range.start)).next_back()?;
        let found = slice(start, part, &range);
        if found.is_some() {
            self.last = (lsn, start, part.clone());
        }
        found
    }
}

/// The range of an entry out of a part that begins at `start`, if it is in it.
fn slice(start: u32, part: &Bytes, range: &Range<u32>) -> Option<Bytes> {
    let (from, to) = (range.start.checked_sub(start)? as usize, range.end.checked_sub(start)? as usize);
    (to <= part.len()).then(|| part.slice(from..to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_lies_inside_a_part_and_forgets_the_oldest() {
        let mut cache = ReadBack::new(100);
        cache.insert(Lsn(1), 10, vec![1; 40].into());
        cache.insert(Lsn(2), 0, vec![2; 40].into());
        assert_eq!(cache.find(Lsn(1), 10..50).unwrap(), vec![1; 40]);
        assert!(cache.find(Lsn(1), 9..20).is_none());
        assert!(cache.find(Lsn(1), 40..51).is_none());
        cache.insert(Lsn(3), 0, vec![3; 40].into());
        assert!(cache.find(Lsn(1), 10..20).is_none());
        assert_eq!(cache.bytes(), 80);
        cache.insert(Lsn(4), 0, vec![4; 1000].into());
        assert_eq!((cache.bytes(), cache.find(Lsn(4), 0..1000).is_some()), (1000, true));
    }
}
