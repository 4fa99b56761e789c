//! A checkpoint is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker::{Broker, Conclusions, Lsn, TableKind};
use bytes::Bytes;

use super::damage::CheckpointDamage;
use super::job::CheckpointError;
use super::manifest::{Manifest, RunName, StateFiles};
use super::store::{CheckpointStore, LAST_RUN_1, RUN_1, name};
use crate::run::{Merged, Row, Run, RunDamage, read_version_1};

/// While runs are read, state leaves memory each time that so many rows have come.
const ROWS_BETWEEN_EVICTIONS: u64 = 4096;

/// How much of a checkpoint comes into memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bring {
    /// All rows of all tables.
    All,
    /// What cannot stay on disk, and of the rest what fits into so many bytes.
    Needed {
        /// Bytes of state.
        state_bytes: u64,
    },
}

/// A checkpoint that was read.
pub(crate) struct Loaded {
    pub(crate) manifest: Manifest,
    pub(crate) broker: Broker,
    /// The runs that it is made of, the newest first; none if they are of version 1.
    pub(crate) runs: Vec<Arc<Run>>,
}

impl CheckpointStore {
    /// The newest checkpoint that is whole, and what is wrong with the newest of all, if it is another. What is damaged is
    /// passed over, with a word in the log.
    pub(crate) fn load(
        &self,
        state_bytes: u64,
        fresh: impl Fn() -> Broker,
    ) -> Result<(Option<Loaded>, Option<CheckpointDamage>), CheckpointError> {
        let mut newest = None;
        for position in self.manifests()?.into_iter().rev() {
            let damage = match self.load_one(position, fresh(), Bring::Needed { state_bytes }) {
                Ok(loaded) => return Ok((Some(loaded), newest)),
                Err(damage) => damage,
            };
            let CheckpointDamage { file, offset, detail, .. } = &damage;
            let manifest = self.manifest_path(position);
            tracing::warn!(
                manifest,
                file,
                offset,
                detail,
                "a checkpoint is damaged; falling back on the one before it"
            );
            newest.get_or_insert(damage);
        }
        Ok((self.load_around_damage(state_bytes, fresh)?, newest))
    }

    /// The newest checkpoint of which nothing is lost but messages of some queues, which are halted. Nothing if there is none.
    pub(crate) fn load_around_damage(
        &self,
        state_bytes: u64,
        fresh: impl Fn() -> Broker,
    ) -> Result<Option<Loaded>, CheckpointError> {
        for position in self.manifests()?.into_iter().rev() {
            let Ok(manifest) = self.read_manifest(position) else { continue };
            let Some(runs) = self.open_runs(manifest.runs()).ok().filter(|runs| !runs.is_empty()) else {
                continue;
            };
            if let Ok(broker) = self.load_runs_around_damage(&runs, fresh(), state_bytes) {
                return Ok(Some(Loaded { manifest, broker, runs }));
            }
        }
        Ok(None)
    }

    fn load_runs_around_damage(
        &self,
        runs: &[Arc<Run>],
        mut broker: Broker,
        state_bytes: u64,
    ) -> Result<Broker, CheckpointDamage> {
        let unreadable = |error| CheckpointDamage::unreadable(self.folder(), &error);
        let files = self.with_files(runs).map_err(unreadable)?;
        broker.leave_tables_on_disk();
        let mut merged =
            Merged::without_over_holes(files, stays_on_disk).map_err(|damage| self.damage(damage))?;
        let mut restoring = Restoring { store: self, runs, broker, state_bytes, rows: 0 };
        // By its key, of each row that is lost where.
        let mut lost: BTreeMap<Bytes, (usize, RunDamage)> = BTreeMap::new();
        let mut seen = 0;
        loop {
            let row = merged.next().map_err(|damage| self.damage(damage))?;
            for (source, damage) in &merged.passed_over()[seen..] {
                seen += 1;
                let key = damage.only_key().ok_or_else(|| self.damage(damage.clone()))?;
                // The newest run counts.
                let newest = lost.entry(key).or_insert_with(|| (*source, damage.clone()));
                if *source < newest.0 {
                    *newest = (*source, damage.clone());
                }
            }
            let is_before = |key: &Bytes| row.as_ref().is_none_or(|row| *key < row.key);
            while let Some(first) = lost.first_entry().filter(|first| is_before(first.key())) {
                restoring.halt_queue_of(&first.remove().1)?;
            }
            let Some(row) = row else { return Ok(restoring.broker) };
            match lost.remove(&row.key) {
                Some((source, damage)) if source < merged.last_source() => {
                    restoring.halt_queue_of(&damage)?
                }
                _ => restoring.put(row, merged.last_source())?,
            }
        }
    }

    fn open_runs(&self, names: &[RunName]) -> Result<Vec<Arc<Run>>, CheckpointDamage> {
        names.iter().map(|name| self.open_run(name)).collect()
    }

    /// The checkpoint of a manifest, or what is wrong with it.
    pub(crate) fn load_one(
        &self,
        position: Lsn,
        broker: Broker,
        bring: Bring,
    ) -> Result<Loaded, CheckpointDamage> {
        let manifest = self.read_manifest(position)?;
        match &manifest.state {
            StateFiles::Runs(names) => {
                let runs = self.open_runs(names)?;
                let broker = self.load_runs(&runs, broker, bring)?;
                Ok(Loaded { manifest, broker, runs })
            }
            StateFiles::Version1 { bytes } => {
                let mut broker = self.load_version_1(&manifest, *bytes, broker)?;
                broker.forget_seals();
                Ok(Loaded { manifest, broker, runs: Vec::new() })
            }
        }
    }

    /// What can be read of a checkpoint whose runs are damaged, laid over a state that was put together from the journal, and what
    /// cannot be read of it. Of that state remains what no run speaks of only if it may be among what is lost.
    pub(crate) fn load_over(
        &self,
        position: Lsn,
        mut broker: Broker,
        conclusions: &mut Conclusions,
    ) -> Result<(Manifest, Broker, Vec<CheckpointDamage>), CheckpointDamage> {
        let manifest = self.read_manifest(position)?;
        let (mut runs, mut damages, mut is_all_in_doubt) = (Vec::new(), Vec::new(), false);
        for name in manifest.runs() {
            match self.open_run(name) {
                Ok(run) => runs.push(run),
                Err(mut damage) => {
                    let left = self.scan_run(name);
                    // Of a run without an index, nobody knows what was in it.
                    match left.as_ref().is_some_and(|run| RunName::of(run) == *name) {
                        true => damage.rows = Some("no row, since filters can be made anew".to_owned()),
                        false => is_all_in_doubt = true,
                    }
                    damages.push(damage);
                    runs.extend(left);
                }
            }
        }
        let unreadable = |error| CheckpointDamage::unreadable(self.folder(), &error);
        let files = self.with_files(&runs).map_err(unreadable)?;
        let mut merged = Merged::over_holes(files).map_err(|damage| self.damage(damage))?;
        let mut put = BTreeSet::new();
        while let Some(Row { key, value, .. }) = merged.next().map_err(|damage| self.damage(damage))? {
            let Some(value) = value else { continue };
            let is_old = is_all_in_doubt || merged.may_have_lost(&key);
            if !broker.restore_over(&key, value, is_old, conclusions) {
                let detail = "a row cannot be put back without those that are lost";
                let rows = Some(broker::describe_rows(&key, &key));
                damages.push(CheckpointDamage { rows, ..CheckpointDamage::new(self.folder(), 0, detail) });
            }
            put.insert(key);
        }
        let passed_over = merged.into_damages();
        broker.keep_rows(|key| {
            is_all_in_doubt || put.contains(key) || passed_over.iter().any(|damage| damage.may_have_had(key))
        });
        damages.extend(passed_over.into_iter().map(|damage| self.damage(damage)));
        Ok((manifest, broker, damages))
    }

    fn load_runs(
        &self,
        runs: &[Arc<Run>],
        mut broker: Broker,
        bring: Bring,
    ) -> Result<Broker, CheckpointDamage> {
        let unreadable = |error| CheckpointDamage::unreadable(self.folder(), &error);
        let files = self.with_files(runs).map_err(unreadable)?;
        let (merged, state_bytes) = match bring {
            Bring::All => (Merged::new(files), u64::MAX),
            Bring::Needed { state_bytes } => {
                broker.leave_tables_on_disk();
                (Merged::without(files, stays_on_disk), state_bytes)
            }
        };
        let mut merged = merged.map_err(|damage| self.damage(damage))?;
        let mut restoring = Restoring { store: self, runs, broker, state_bytes, rows: 0 };
        while let Some(row) = merged.next().map_err(|damage| self.damage(damage))? {
            restoring.put(row, merged.last_source())?;
        }
        Ok(restoring.broker)
    }

    fn load_version_1(
        &self,
        manifest: &Manifest,
        bytes: u64,
        mut broker: Broker,
    ) -> Result<Broker, CheckpointDamage> {
        let kind = if manifest.clean { LAST_RUN_1 } else { RUN_1 };
        let path = self.path(&name(kind, manifest.position.0));
        let run = self.read(&path).map_err(|error| CheckpointDamage::unreadable(&path, &error))?;
        if bytes != run.len() as u64 {
            let detail = format!("the run has {} bytes, its manifest says {bytes}", run.len());
            return Err(CheckpointDamage::new(&path, bytes.min(run.len() as u64), &detail));
        }
        let restored = read_version_1(run.clone(), |key, value| broker.restore(key, value).ok());
        // Whole, and yet not understood.
        if restored.is_err() && read_version_1(run, |_, _| Some(())).is_ok() {
            return Err(CheckpointDamage::newer(&path));
        }
        let damage =
            |offset| CheckpointDamage::new(&path, offset, "a block of the run is not as it was written");
        restored.map_err(damage)?;
        Ok(broker)
    }
}

/// A broker that rows are put back into.
struct Restoring<'a> {
    store: &'a CheckpointStore,
    runs: &'a [Arc<Run>],
    broker: Broker,
    /// What may stay in memory meanwhile.
    state_bytes: u64,
    rows: u64,
}

impl Restoring<'_> {
    /// Puts back a row of the run at this place.
    fn put(&mut self, row: Row, source: usize) -> Result<(), CheckpointDamage> {
        if let Some(value) = row.value {
            // Whole, and yet not understood.
            let newer = |_| CheckpointDamage::newer(&self.store.run_path(self.runs[source].number));
            self.broker.restore(&row.key, value).map_err(newer)?;
        }
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_BETWEEN_EVICTIONS) {
            self.broker.evict(0, self.state_bytes);
        }
        Ok(())
    }

    /// Halts the queue that has lost messages. An error, if more than that is lost.
    fn halt_queue_of(&mut self, damage: &RunDamage) -> Result<(), CheckpointDamage> {
        let key = damage.only_key();
        let damage = self.store.damage(damage.clone());
        let queue = key.and_then(|key| self.broker.restore_damaged(&key, &damage.halt_reason()));
        damage.tell_of_halt(&queue.ok_or_else(|| damage.clone())?);
        Ok(())
    }
}

fn stays_on_disk(key: &[u8]) -> bool {
    TableKind::of(key).is_some()
}
