//! Of which keys everything is known.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

/// Ranges of keys, apart from each other, in which all rows that there are are in memory: a key that is not, is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coverage {
    /// By the first key of each, the first key behind it; nothing: it goes on to the end.
    ranges: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// More ranges than this are not kept: the last one goes.
const RANGES_MAX: usize = 64;

impl Coverage {
    /// All keys.
    pub(super) fn of_all() -> Self {
        Self { ranges: BTreeMap::from([(Vec::new(), None)]) }
    }

    /// No key.
    pub(super) fn of_none() -> Self {
        Self { ranges: BTreeMap::new() }
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.end_from(key).is_some()
    }

    /// How far it goes from this key on: to the first key behind it, or to the end. `None` if it does not have the key.
    pub(super) fn end_from(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let (_, below) = self.ranges.range::<[u8], _>((Unbounded, Included(key))).next_back()?;
        below.as_deref().is_none_or(|below| key < below).then_some(below.as_deref())
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.ranges.iter().map(|(from, below)| (&from[..], below.as_deref()))
    }

    /// Adds the keys from the one up to, and without, the other; to the end if there is none.
    pub(super) fn add(&mut self, from: &[u8], below: Option<&[u8]>) {
        if below.is_some_and(|below| below <= from) {
            return;
        }
        let (mut from, mut below) = (from.to_vec(), below.map(<[u8]>::to_vec));
        if let Some((first, end)) = self.ranges.range::<[u8], _>((Unbounded, Included(&from[..]))).next_back()
            && end.as_ref().is_none_or(|end| *end >= from)
        {
            from = first.clone();
        }
        while let Some((first, end)) = self.ranges.range::<[u8], _>((Included(&from[..]), Unbounded)).next()
            && below.as_ref().is_none_or(|below| first <= below)
        {
            if is_before(&below, end) {
                below = end.clone();
            }
            let first = first.clone();
            self.ranges.remove(&first);
        }
        // Not the new one: whoever has asked for it is about to look.
        if self.ranges.len() == RANGES_MAX {
            self.ranges.pop_last();
        }
        self.ranges.insert(from, below);
    }

    /// Takes away this key and all behind it.
    pub(super) fn truncate(&mut self, key: &[u8]) {
        self.ranges.split_off(key);
        if let Some((_, below)) = self.ranges.iter_mut().next_back()
            && below.as_deref().is_none_or(|below| below > key)
        {
            *below = Some(key.to_vec());
        }
    }
}

fn is_before(one: &Option<Vec<u8>>, other: &Option<Vec<u8>>) -> bool {
    match (one, other) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(one), Some(other)) => one < other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Vec<u8> {
        vec![number]
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_the_keys_that_were_added(
            steps in proptest::collection::vec((any::<bool>(), 0..40u8, proptest::option::of(0..40u8)), 1..40),
        ) {
            let mut coverage = Coverage::of_none();
            let mut model = [false; 41];
            for (is_added, from, below) in steps {
                if is_added {
                    let end = below.map_or(41, usize::from);
                    (usize::from(from)..end).for_each(|at| model[at] = true);
                    coverage.add(&key(from), below.map(key).as_deref());
                } else {
                    (usize::from(from)..41).for_each(|at| model[at] = false);
                    coverage.truncate(&key(from));
                }
                for at in 0..40u8 {
                    prop_assert_eq!(coverage.contains(&key(at)), model[usize::from(at)], "{}", at);
                    let end = (at..41).find(|at| !model[usize::from(*at)]).map(key);
                    let expected = model[usize::from(at)].then_some(end.as_deref());
                    prop_assert_eq!(coverage.end_from(&key(at)), expected, "from {}", at);
                }
                let ranges: Vec<_> = coverage.ranges().collect();
                prop_assert!(ranges.is_sorted_by(|one, next| one.1.is_some_and(|end| end < next.0)));
            }
        }
    }

    #[test]
    fn the_last_of_too_many_ranges_goes_for_a_new_one() {
        let mut coverage = Coverage::of_none();
        (0..=64).for_each(|number| coverage.add(&key(number * 2), Some(&key(number * 2 + 1))));
        assert_eq!(coverage.ranges().count(), 64);
        assert!(
            coverage.contains(&key(124)) && !coverage.contains(&key(126)) && coverage.contains(&key(128))
        );
    }
}
