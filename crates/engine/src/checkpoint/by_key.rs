//! Looking things up in runs laid over one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Found, Want};
use bytes::Bytes;
use journal::storage::StorageFile;

use super::damage::CheckpointDamage;
use super::store::CheckpointStore;
use crate::run::{Merged, Run, RunFile};

/// Finds in runs what is wanted in memory.
pub(crate) struct RunsByKey<'a> {
    store: &'a CheckpointStore,
    /// The newest first.
    runs: &'a [Arc<Run>],
    files: BTreeMap<u64, Arc<dyn StorageFile>>,
}

/// A range ends early at so many bytes: what is left is asked for when it is wanted.
const RANGE_BYTES_MAX: usize = 1024 * 1024;
/// And when so many rows were looked at, most of which say that there is no such row any more.
const RANGE_LOOKS_MAX: usize = 64 * 1024;

impl<'a> RunsByKey<'a> {
    pub(crate) fn new(store: &'a CheckpointStore, runs: &'a [Arc<Run>]) -> Self {
        Self { store, runs, files: BTreeMap::new() }
    }

    /// What the runs have of what is wanted.
    pub(crate) fn find(&mut self, want: &Want) -> Result<Found, CheckpointDamage> {
        match want {
            Want::Page { .. } => self.page(want).map(|row| Found::Row(Some(row))),
            Want::Row { .. } => {
                let row = self.row(&want.row_key())?;
                // Not the whole block.
                Ok(Found::Row(row.map(|value| Bytes::copy_from_slice(&value))))
            }
            Want::Range { table, below, limit, .. } => {
                self.range(&want.row_key(), &table.row_key_below(below.as_deref()), *limit)
            }
        }
    }

    /// The row of a page, which is there.
    pub(crate) fn page(&mut self, want: &Want) -> Result<Bytes, CheckpointDamage> {
        let key = want.row_key();
        self.row(&key)?.ok_or_else(|| self.store.missing_row(&key))
    }

    fn row(&mut self, key: &[u8]) -> Result<Option<Bytes>, CheckpointDamage> {
        for run in self.runs {
            let Some(at) = run.block_of(key) else { continue };
            let file = self.file(run)?;
            if let Some(newest) = self.store.look_up(run, &*file, at, key)? {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    fn range(&mut self, from: &[u8], below: &[u8], limit: usize) -> Result<Found, CheckpointDamage> {
        let damage = |damage| self.store.damage(damage);
        let runs = self.runs.iter().filter(|run| run.may_have_between(from, below));
        let files = runs.map(|run| Ok((Arc::clone(run), self.file(run)?)));
        let files = files.collect::<Result<Vec<RunFile>, CheckpointDamage>>()?;
        let mut merged = Merged::from(files, from).map_err(damage)?;
        let (mut rows, mut bytes, mut looks) = (Vec::new(), 0, 0);
        while let Some(row) = merged.next().map_err(damage)?.filter(|row| row.key < below) {
            if rows.len() >= limit.max(1) || bytes >= RANGE_BYTES_MAX || looks >= RANGE_LOOKS_MAX {
                return Ok(Found::Range { rows, up_to: Some(row.key[1..].to_vec()) });
            }
            looks += 1;
            if let Some(value) = row.value {
                bytes += row.key.len() + value.len();
                rows.push((row.key[1..].to_vec(), Bytes::copy_from_slice(&value)));
            }
        }
        Ok(Found::Range { rows, up_to: None })
    }

    fn file(&mut self, run: &Run) -> Result<Arc<dyn StorageFile>, CheckpointDamage> {
        if let Some(file) = self.files.get(&run.number) {
            return Ok(Arc::clone(file));
        }
        let file = self.store.open_run_file(run)?;
        self.files.insert(run.number, Arc::clone(&file));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use broker::TableKind;
    use journal::LogName;
    use journal::storage::{MemoryStorage, Storage};
    use proptest::prelude::*;

    use super::super::dead_rows::DeadRows;
    use super::*;
    use crate::run::RowToWrite;

    type Rows = BTreeMap<(TableKind, Vec<u8>), Option<Vec<u8>>>;

    fn store() -> (CheckpointStore, MemoryStorage) {
        let storage = MemoryStorage::new();
        let log = LogName::new("vhost").unwrap();
        (CheckpointStore::open(Arc::new(storage.clone()), &log, 0).unwrap(), storage)
    }

    fn write(store: &CheckpointStore, number: u64, rows: &Rows) -> Arc<Run> {
        let written = store.write_run_by(number, |writer| {
            rows.iter().try_for_each(|((table, key), value)| {
                let key = table.row_key(key);
                let row = RowToWrite { key: &key, value: value.as_deref(), entries: None, is_alone: false };
                writer.row(row)
            })
        });
        written.unwrap()
    }

    fn row(table: TableKind, key: Vec<u8>) -> Want {
        Want::Row { table, key }
    }

    fn tables() -> impl Strategy<Value = TableKind> {
        proptest::sample::select(&TableKind::ALL[..])
    }

    /// Short keys of few letters, so that they meet; values up to more than a block.
    fn layer() -> impl Strategy<Value = Rows> {
        let key = proptest::collection::vec(0..3u8, 0..4);
        let value = proptest::option::weighted(0.7, (any::<u8>(), prop_oneof![0..20usize, 1000..6000usize]));
        let value = value.prop_map(|value| value.map(|(byte, length)| vec![byte; length]));
        proptest::collection::btree_map((tables(), key), value, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn the_newest_of_each_key_is_found_however_runs_are_merged(
            layers in proptest::collection::vec(layer(), 1..6),
            merged in 0..6usize,
            ranges in proptest::collection::vec(
                (
                    tables(),
                    proptest::collection::vec(0..3u8, 0..4),
                    proptest::option::of(proptest::collection::vec(0..3u8, 0..4)),
                    1..20usize,
                ),
                1..20,
            ),
        ) {
            let (store, _) = store();
            let (mut model, mut keys, mut runs) = (BTreeMap::new(), Rows::new(), Vec::new());
            for (number, rows) in layers.iter().enumerate() {
                runs.insert(0, write(&store, number as u64, rows));
                keys.extend(rows.clone());
            }
            for (key, value) in &keys {
                value.as_ref().map(|value| model.insert(key.clone(), Bytes::from(value.clone())));
            }
            let count = merged.min(runs.len());
            if count > 0 {
                let dead = DeadRows { is_oldest: count == runs.len() };
                let run = store.merge(77, &runs[..count], dead).unwrap();
                runs.splice(..count, [run]);
            }
            let reopened = runs.iter().map(|run| Run::open(run.number, &*store.open_run_file(run).unwrap()));
            let runs = reopened.collect::<Result<Vec<_>, _>>().unwrap();
            let mut by_key = RunsByKey::new(&store, &runs);
            for key in keys.keys().map(|(table, key)| (*table, [&key[..], &[0]].concat())).chain(keys.keys().cloned()) {
                let found = by_key.find(&row(key.0, key.1.clone())).unwrap();
                prop_assert_eq!(found, Found::Row(model.get(&key).cloned()), "{:?}", key);
            }
            for (table, from, below, limit) in ranges {
                let want = Want::Range { table, from: from.clone(), below: below.clone(), limit };
                let Found::Range { rows, up_to } = by_key.find(&want).unwrap() else { panic!("a range") };
                let end = up_to.clone().or(below);
                let expected = model.iter().filter(|((of, key), _)| {
                    *of == table && *key >= from && end.as_ref().is_none_or(|end| key < end)
                });
                let expected: Vec<_> = expected.map(|((_, key), value)| (key.clone(), value.clone())).collect();
                prop_assert!(rows.len() <= limit && (up_to.is_none() || rows.len() == limit));
                prop_assert_eq!(rows, expected);
            }
        }
    }

    /// Rows of every second number, and runs whose files are gone: what is read of them is damage.
    fn without_files(table: TableKind, numbers: u32) -> (CheckpointStore, Vec<Arc<Run>>) {
        let (store, storage) = store();
        let key = |number: u32| ((table, (number * 2).to_be_bytes().to_vec()), Some(vec![7; 8]));
        let halves = [0..numbers / 2, numbers / 2..numbers];
        let runs = halves.into_iter().enumerate();
        let runs: Vec<_> =
            runs.map(|(number, half)| write(&store, number as u64, &half.map(key).collect())).collect();
        let merged = store.merge(9, &runs, DeadRows { is_oldest: true }).unwrap();
        for run in runs.iter().chain([&merged]) {
            storage.remove(&store.path(&format!("rows-{:016x}", run.number))).unwrap();
        }
        (store, vec![merged])
    }

    fn reads_of_others(table: TableKind) -> usize {
        let (store, runs) = without_files(table, 20_000);
        assert!(runs[0].filters.len() == if table.is_read_by_point() { 5 } else { 0 });
        let mut by_key = RunsByKey::new(&store, &runs);
        let others = (0..20_000u32).map(|number| row(table, (number * 2 + 1).to_be_bytes().to_vec()));
        let there = row(table, 500u32.to_be_bytes().to_vec());
        assert!(by_key.find(&there).is_err(), "what is there is looked for");
        others.filter(|want| by_key.find(want).is_err()).count()
    }

    #[test]
    fn what_is_nowhere_is_known_without_a_read_also_in_merged_runs() {
        let reads = reads_of_others(TableKind::Deduplication);
        assert!(reads < 20_000 * 13 / 1000, "{reads}");
        assert!(reads_of_others(TableKind::Times) > 19_000, "tables that are read in order have no filters");
    }

    #[test]
    fn a_range_of_rows_that_are_gone_is_read_in_parts() {
        let (store, _) = store();
        let rows = (0..RANGE_LOOKS_MAX as u32 + 10).map(|number| {
            let key = (TableKind::Schedule, number.to_be_bytes().to_vec());
            (key, (number > RANGE_LOOKS_MAX as u32).then(|| vec![1]))
        });
        let runs = [write(&store, 1, &rows.collect())];
        let want = |from| Want::Range { table: TableKind::Schedule, from, below: None, limit: 100 };
        let mut by_key = RunsByKey::new(&store, &runs);
        let Found::Range { rows, up_to: Some(up_to) } = by_key.find(&want(Vec::new())).unwrap() else {
            panic!("it ends early")
        };
        assert!(rows.is_empty());
        let Found::Range { rows, up_to: None } = by_key.find(&want(up_to)).unwrap() else {
            panic!("the rest")
        };
        assert_eq!(rows.len(), 9);
    }
}
