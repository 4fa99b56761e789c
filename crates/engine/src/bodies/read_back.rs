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
    /// Where nothing was last found, and there is no part of this entry: the next is mostly not there either. Empty if nowhere.
    last_gap: (Lsn, Range<u32>),
}

impl ReadBack {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        let (parts, order) = (BTreeMap::new(), VecDeque::new());
        let (last, last_gap) = ((Lsn::NONE, 0, Bytes::new()), (Lsn::NONE, 0..0));
        Self { parts, order, bytes: 0, budget_bytes, last, last_gap }
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
        self.last_gap = (Lsn::NONE, 0..0);
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
        let (gap_lsn, gap) = &self.last_gap;
        if *gap_lsn == lsn && gap.contains(&range.start) {
            return None;
        }
        let before = self.parts.range((lsn, 0)..=(lsn, range.start)).next_back();
        let found = before.and_then(|((_, start), part)| Some((*start, part, slice(*start, part, &range)?)));
        if let Some((start, part, found)) = found {
            self.last = (lsn, start, part.clone());
            return Some(found);
        }
        let after = self.parts.range((lsn, range.start.saturating_add(1))..=(lsn, u32::MAX)).next();
        // Parts may overlap: what begins behind the end of the one before is in no other.
        let from = before.map_or(0, |((_, start), part)| start.saturating_add(part.len() as u32));
        self.last_gap = (lsn, from..after.map_or(u32::MAX, |((_, start), _)| *start));
        None
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

    #[test]
    fn what_comes_into_a_gap_is_found() {
        let mut cache = ReadBack::new(1000);
        cache.insert(Lsn(1), 0, vec![1; 40].into());
        cache.insert(Lsn(1), 100, vec![3; 40].into());
        assert!(cache.find(Lsn(1), 40..50).is_none() && cache.find(Lsn(1), 90..100).is_none());
        assert_eq!(cache.find(Lsn(1), 100..110).unwrap(), vec![3; 10], "behind the gap");
        assert!(cache.find(Lsn(1), 60..70).is_none() && cache.find(Lsn(1), 140..150).is_none());
        assert_eq!(cache.find(Lsn(1), 0..40).unwrap(), vec![1; 40], "before it");
        cache.insert(Lsn(1), 40, vec![2; 60].into());
        assert_eq!(cache.find(Lsn(1), 60..70).unwrap(), vec![2; 10]);
        assert!(cache.find(Lsn(2), 60..70).is_none());
    }
}
