//! What the runs of earlier seals know, and what has changed since.

use std::collections::BTreeSet;

/// Of the things of one kind, by name: those that a run has, and those that differ from what it has.
#[derive(Debug)]
pub(crate) struct Ledger<Key> {
    stored: BTreeSet<Key>,
    changed: BTreeSet<Key>,
}

impl<Key> Default for Ledger<Key> {
    fn default() -> Self {
        Self { stored: BTreeSet::new(), changed: BTreeSet::new() }
    }
}

impl<Key: Ord> Ledger<Key> {
    /// It is there, and new or not as it was.
    pub(crate) fn changed(&mut self, key: Key) {
        self.changed.insert(key);
    }

    /// It is gone. What no run knew of leaves no trace.
    pub(crate) fn gone(&mut self, key: Key) {
        if self.stored.contains(&key) {
            self.changed.insert(key);
        } else {
            self.changed.remove(&key);
        }
    }

    /// A run has it as it is.
    pub(crate) fn restored(&mut self, key: Key) {
        self.changed.remove(&key);
        self.stored.insert(key);
    }

    pub(crate) fn is_changed(&self, key: &Key) -> bool {
        self.changed.contains(key)
    }

    /// Seals it: calls `row` for each key that has changed and that `is_kept` or that a run has had, with whether it is kept.
    pub(crate) fn seal(&mut self, is_kept: impl Fn(&Key) -> bool, mut row: impl FnMut(&Key, bool)) {
        for key in std::mem::take(&mut self.changed) {
            let is_kept = is_kept(&key);
            if is_kept || self.stored.contains(&key) {
                row(&key, is_kept);
            }
            if is_kept {
                self.stored.insert(key);
            } else {
                self.stored.remove(&key);
            }
        }
    }

    /// No run has any of it: all of these are new.
    pub(crate) fn forget_seals(&mut self, all: impl Iterator<Item = Key>) {
        self.stored.clear();
        self.changed = all.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ledger: &mut Ledger<u8>, kept: &[u8]) -> Vec<(u8, bool)> {
        let mut rows = Vec::new();
        ledger.seal(|key| kept.contains(key), |key, is_kept| rows.push((*key, is_kept)));
        rows
    }

    #[test]
    fn what_came_and_went_between_two_seals_leaves_no_trace() {
        let mut ledger = Ledger::default();
        ledger.changed(1);
        ledger.changed(2);
        ledger.gone(2);
        assert_eq!(rows(&mut ledger, &[1]), [(1, true)]);
        assert_eq!(rows(&mut ledger, &[1]), [], "nothing has changed");
        ledger.gone(1);
        assert_eq!(rows(&mut ledger, &[]), [(1, false)]);
        ledger.changed(1);
        ledger.gone(1);
        assert_eq!(rows(&mut ledger, &[]), [], "no run has it any more");
    }

    #[test]
    fn what_a_run_has_is_given_out_again_only_when_it_changes() {
        let mut ledger = Ledger::default();
        ledger.changed(3);
        ledger.restored(3);
        assert_eq!(rows(&mut ledger, &[3]), []);
        ledger.changed(3);
        assert_eq!(rows(&mut ledger, &[3]), [(3, true)]);
        ledger.forget_seals([3, 4].into_iter());
        assert_eq!(rows(&mut ledger, &[3]), [(3, true)], "4 is not kept, and no run has it");
    }
}
