//! Tables whose rows are mostly on disk.
//!
//! ```text
//! changes      since the last seal; seal: they become a layer
//! layers       sealed, the newest on top: not yet in a run, or in one and still here
//! answers      what runs have said, and of which ranges of keys they have said all
//! runs         on disk, asked by a want
//! ```
//!
//! What is further up hides what is below, and a key is in the answers only if nothing above has it. So what is known of a key does not
//! depend on what else is in memory: only whether it is known does.
//!
//! An answer is of the runs that there were when they were read, and may be late. All that was sealed after it has to be laid over it. That is
//! so as long as the layer is here; when it leaves, the loads that its rows touch want an answer of runs that have them, and an older
//! one is asked for again.

mod answers;
mod changes;
mod coverage;
mod kind;
mod left;
mod reading;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::cold::Want;
use answers::Answers;
use changes::Change;
pub(crate) use changes::Changes;
use coverage::Coverage;

pub use kind::{TableKind, is_read_by_point};
pub use left::LeftRows;
pub use reading::{Lookup, Rest, Window};
pub(crate) use tables::Tables;

/// A table whose rows are on disk, but for those that have changed, and those that somebody has wanted. Keys are those of the table
/// alone: without its letter.
#[derive(Debug)]
pub struct Table {
    kind: TableKind,
    changes: Changes,
    /// The oldest first.
    layers: VecDeque<Layer>,
    answers: Answers,
    /// What was asked for and has not come, with the number of the oldest seal that must be in the runs that answer.
    loads: BTreeMap<Want, u64>,
    /// The last seal that is in a run; 0 for those of earlier boots.
    written: u64,
    /// Layers that are gone.
    left: LeftRows,
}

/// What one seal gave out.
#[derive(Debug)]
struct Layer {
    seal: u64,
    changes: Arc<Changes>,
}

/// So many layers that runs have stay for what may be asked next; there is a look into each for each key.
const LAYERS_MAX: usize = if cfg!(test) { 1 } else { 4 };
/// Of a layer that leaves, so many rows stay at most: while they are moved, all wait.
const ROWS_MOVED_MAX: usize = if cfg!(test) { 3 } else { 4096 };

impl Table {
    /// A table of which no run has a row.
    #[must_use]
    pub fn new(kind: TableKind) -> Self {
        Self {
            kind,
            changes: Changes::default(),
            layers: VecDeque::new(),
            answers: Answers::of_nothing(),
            loads: BTreeMap::new(),
            written: 0,
            left: LeftRows::default(),
        }
    }

    /// Which table it is.
    #[must_use]
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// Puts a row in, or another value in its place. Needs no row in memory.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.change(key, Some(Bytes::copy_from_slice(value)), false);
    }

    /// Puts a row in whose key was never in use: if it is removed before the next seal, it leaves no trace.
    pub fn put_new(&mut self, key: &[u8], value: &[u8]) {
        self.change(key, Some(Bytes::copy_from_slice(value)), true);
    }

    /// Takes a row away, if there is one. Needs no row in memory; where nobody knows whether a run has it, the next run says that it is
    /// gone.
    pub fn remove(&mut self, key: &[u8]) {
        self.change(key, None, false);
    }

    /// Bytes of memory that its rows take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(|layer| layer.changes.bytes()).sum();
        self.changes.bytes() + layers + self.answers.bytes()
    }

    fn change(&mut self, key: &[u8], value: Option<Bytes>, is_new: bool) {
        let is_new = match self.changes.get(key) {
            Some(change) => change.is_new,
            None => is_new || matches!(self.known_below(key), Some(None)),
        };
        if value.is_none() && is_new {
            return self.changes.remove(key);
        }
        self.answers.forget(key);
        self.changes.insert(key, Change { value, is_new });
    }

    /// Gives out what has changed since the last seal; nothing if nothing has.
    pub(crate) fn seal(&mut self, number: u64) -> Option<Arc<Changes>> {
        if self.changes.is_empty() {
            return None;
        }
        let changes = Arc::new(std::mem::take(&mut self.changes));
        self.layers.push_back(Layer { seal: number, changes: Arc::clone(&changes) });
        Some(changes)
    }

    /// Runs have all seals up to this one.
    pub(crate) fn written(&mut self, seal: u64) {
        self.written = self.written.max(seal);
        while self.layers.iter().filter(|layer| layer.seal <= self.written).count() > LAYERS_MAX {
            self.let_go_of_layer();
        }
    }

    /// Lets rows go that runs have, until so many bytes are freed.
    pub(crate) fn evict(&mut self, bytes: u64) {
        let aim = self.bytes().saturating_sub(bytes);
        while self.bytes() > aim && self.let_go_of_layer() {}
        let excess = self.bytes().saturating_sub(aim);
        if excess > 0 {
            self.evict_answers(excess);
        }
    }

    /// Bytes of memory that answers of runs take.
    pub(crate) fn answer_bytes(&self) -> u64 {
        self.answers.bytes()
    }

    /// Lets answers of runs go, until so many bytes are freed.
    pub(crate) fn evict_answers(&mut self, bytes: u64) {
        self.answers.evict(bytes);
    }

    /// The rows of layers that are gone.
    pub(crate) fn take_left(&mut self) -> LeftRows {
        std::mem::take(&mut self.left)
    }

    /// Runs have rows of it, nobody knows which.
    pub(crate) fn leave_on_disk(&mut self) {
        self.answers.coverage = Coverage::of_none();
    }

    /// Puts back a row that a run has.
    pub(crate) fn restore(&mut self, key: &[u8], value: Bytes) {
        self.answers.insert(key, Some(value));
    }

    /// Whether a row has changed since the last seal, or gone.
    pub(crate) fn is_changed(&self, key: &[u8]) -> bool {
        self.changes.get(key).is_some()
    }

    /// Takes away the rows that are in memory and are not to stay, by the keys that runs have for them.
    pub(crate) fn retain(&mut self, may_stay: impl Fn(&[u8]) -> bool) {
        let keys = self.known_rows(&[], None).map(|(key, _)| key.to_vec());
        let leaving: Vec<Vec<u8>> = keys.filter(|key| !may_stay(&self.kind.row_key(key))).collect();
        leaving.iter().for_each(|key| self.remove(key));
    }

    /// No run has any of it, all of which is in memory: the next seal gives all of it out.
    pub(crate) fn forget_seals(&mut self) {
        let mut changes = Changes::default();
        for (key, value) in self.known_rows(&[], None) {
            if let Some(value) = value {
                changes.insert(key, Change { value: Some(value.clone()), is_new: true });
            }
        }
        *self = Self { changes, written: self.written, ..Self::new(self.kind) };
    }

    /// Lets the oldest layer go, if runs have it. What is in a range of which all is known stays in memory, and all of it if it is small.
    fn let_go_of_layer(&mut self) -> bool {
        if self.layers.front().is_none_or(|layer| layer.seal > self.written) {
            return false;
        }
        let Some(layer) = self.layers.pop_front() else { return false };
        for (want, seal) in &mut self.loads {
            if touches(want, &layer.changes) {
                *seal = layer.seal.max(*seal);
            }
        }
        let is_small = layer.changes.len() <= ROWS_MOVED_MAX;
        let ranges = self.answers.coverage.clone();
        let ranges = if is_small { Coverage::of_all() } else { ranges };
        let rows = ranges.ranges().flat_map(|(from, below)| layer.changes.range(from, below));
        for (moved, (key, value)) in rows.enumerate() {
            if moved == ROWS_MOVED_MAX {
                self.answers.coverage.truncate(key);
                break;
            }
            if self.known_above(key).is_none() {
                self.answers.insert(key, value.cloned());
            }
        }
        self.left.push(layer.changes);
        true
    }
}

/// Whether what is wanted is about one of the rows.
fn touches(want: &Want, changes: &Changes) -> bool {
    match want {
        Want::Page { .. } => false,
        Want::Row { key, .. } => changes.get(key).is_some(),
        Want::Range { from, below, .. } => changes.range(from, below.as_deref()).next().is_some(),
    }
}
