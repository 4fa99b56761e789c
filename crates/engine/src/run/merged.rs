//! Several runs laid over one another.

use mistakes::{Mistake, is_planted};

use super::{Row, RunDamage, RunFile, RunRows};

/// The rows of several runs in the order of their keys: of each key the newest row.
pub(crate) struct Merged {
    /// The newest first.
    sources: Vec<Source>,
    /// What was passed over; `None`: damage ends the reading.
    passed_over: Option<Vec<RunDamage>>,
}

struct Source {
    rows: RunRows,
    head: Option<Row>,
    /// Whether rows of such a key are left out.
    is_unwanted: fn(&[u8]) -> bool,
}

impl Merged {
    /// Runs with their files, the newest first.
    pub(crate) fn new(runs: impl IntoIterator<Item = RunFile>) -> Result<Self, RunDamage> {
        Self::of(runs.into_iter().map(Source::all_of), None)
    }

    /// The rows of this key and later ones.
    pub(crate) fn from(runs: impl IntoIterator<Item = RunFile>, key: &[u8]) -> Result<Self, RunDamage> {
        let source = |(run, file): RunFile| Source {
            rows: RunRows::from_block_of(run, file, key),
            head: None,
            is_unwanted: |_| false,
        };
        let mut merged = Self::of(runs.into_iter().map(source), None)?;
        for source in &mut merged.sources {
            while source.head.as_ref().is_some_and(|row| row.key < key) {
                source.advance(&mut None)?;
            }
        }
        Ok(merged)
    }

    /// Without rows that are unwanted. Blocks that have no others are not read.
    pub(crate) fn without(
        runs: impl IntoIterator<Item = RunFile>,
        is_unwanted: fn(&[u8]) -> bool,
    ) -> Result<Self, RunDamage> {
        Self::of(runs.into_iter().map(|run| Source { is_unwanted, ..Source::all_of(run) }), None)
    }

    /// All of them, but what is damaged is passed over; of a key whose newest row is lost, an older one shows.
    pub(crate) fn over_holes(runs: impl IntoIterator<Item = RunFile>) -> Result<Self, RunDamage> {
        Self::of(runs.into_iter().map(Source::all_of), Some(Vec::new()))
    }

    /// The next row, which may say that there is none of its key.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, RunDamage> {
        let heads = self.sources.iter().filter_map(|source| source.head.as_ref());
        let Some(key) = heads.map(|row| &row.key).min().cloned() else { return Ok(None) };
        let mut newest = None;
        for source in &mut self.sources {
            if source.head.as_ref().is_some_and(|row| row.key == key) {
                let row = source.head.take();
                source.advance(&mut self.passed_over)?;
                newest = if is_planted(Mistake::OlderRowWins) { row } else { newest.or(row) };
            }
        }
        Ok(newest)
    }

    /// Whether a newer row of this key may be among what was passed over. For keys that come next.
    pub(crate) fn may_have_lost(&self, key: &[u8]) -> bool {
        self.passed_over.iter().flatten().any(|damage| damage.may_have_had(key))
    }

    /// What was passed over.
    pub(crate) fn into_damages(self) -> Vec<RunDamage> {
        self.passed_over.unwrap_or_default()
    }

    fn of(
        sources: impl Iterator<Item = Source>,
        mut passed_over: Option<Vec<RunDamage>>,
    ) -> Result<Self, RunDamage> {
        let mut sources: Vec<Source> = sources.collect();
        for source in &mut sources {
            source.advance(&mut passed_over)?;
        }
        Ok(Self { sources, passed_over })
    }
}

impl Source {
    fn all_of((run, file): RunFile) -> Self {
        Self { rows: RunRows::new(run, file), head: None, is_unwanted: |_| false }
    }

    fn advance(&mut self, passed_over: &mut Option<Vec<RunDamage>>) -> Result<(), RunDamage> {
        loop {
            self.rows.skip_blocks(self.is_unwanted);
            match (self.rows.next(), passed_over.as_mut()) {
                (Ok(Some(row)), _) if (self.is_unwanted)(&row.key) => {}
                (Ok(row), _) => {
                    self.head = row;
                    return Ok(());
                }
                (Err(damage), Some(passed_over)) => passed_over.push(damage),
                (Err(damage), None) => return Err(damage),
            }
        }
    }
}
