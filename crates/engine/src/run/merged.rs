//! Several runs laid over one another.

use mistakes::{Mistake, is_planted};

use super::{Row, RunDamage, RunFile, RunRows};

/// The rows of several runs in the order of their keys: of each key the newest row.
pub(crate) struct Merged {
    /// The newest first.
    sources: Vec<Source>,
    /// What was passed over, with the places of the runs among the sources; `None`: damage ends the reading.
    passed_over: Option<Vec<(usize, RunDamage)>>,
    /// Which of the sources had the row that was given out last.
    last_source: usize,
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
        for (at, source) in merged.sources.iter_mut().enumerate() {
            while source.head.as_ref().is_some_and(|row| row.key < key) {
                source.advance(at, &mut None)?;
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

    /// Both: what is unwanted is not read, and what is damaged is passed over.
    pub(crate) fn without_over_holes(
        runs: impl IntoIterator<Item = RunFile>,
        is_unwanted: fn(&[u8]) -> bool,
    ) -> Result<Self, RunDamage> {
        let sources = runs.into_iter().map(|run| Source { is_unwanted, ..Source::all_of(run) });
        Self::of(sources, Some(Vec::new()))
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
        for (at, source) in self.sources.iter_mut().enumerate() {
            if source.head.as_ref().is_some_and(|row| row.key == key) {
                let row = source.head.take();
                source.advance(at, &mut self.passed_over)?;
                if newest.is_none() || is_planted(Mistake::OlderRowWins) {
                    (newest, self.last_source) = (row, at);
                }
            }
        }
        Ok(newest)
    }

    /// Whether a newer row of this key may be among what was passed over. For keys that come next.
    pub(crate) fn may_have_lost(&self, key: &[u8]) -> bool {
        self.passed_over.iter().flatten().any(|(_, damage)| damage.may_have_had(key))
    }

    /// What was passed over so far, with the places of the runs, the newest being 0. Damage is known before the rows that come
    /// behind it.
    pub(crate) fn passed_over(&self) -> &[(usize, RunDamage)] {
        self.passed_over.as_deref().unwrap_or_default()
    }

    /// The place of the run that had the row that was given out last.
    pub(crate) fn last_source(&self) -> usize {
        self.last_source
    }

    /// What was passed over.
    pub(crate) fn into_damages(self) -> Vec<RunDamage> {
        self.passed_over.unwrap_or_default().into_iter().map(|(_, damage)| damage).collect()
    }

    fn of(
        sources: impl Iterator<Item = Source>,
        mut passed_over: Option<Vec<(usize, RunDamage)>>,
    ) -> Result<Self, RunDamage> {
        let mut sources: Vec<Source> = sources.collect();
        for (at, source) in sources.iter_mut().enumerate() {
            source.advance(at, &mut passed_over)?;
        }
        Ok(Self { sources, passed_over, last_source: 0 })
    }
}

impl Source {
    fn all_of((run, file): RunFile) -> Self {
        Self { rows: RunRows::new(run, file), head: None, is_unwanted: |_| false }
    }

    fn advance(
        &mut self,
        at: usize,
        passed_over: &mut Option<Vec<(usize, RunDamage)>>,
    ) -> Result<(), RunDamage> {
        loop {
            self.rows.skip_blocks(self.is_unwanted);
            match (self.rows.next(), passed_over.as_mut()) {
                (Ok(Some(row)), _) if (self.is_unwanted)(&row.key) => {}
                (Ok(row), _) => {
                    self.head = row;
                    return Ok(());
                }
                (Err(damage), Some(passed_over)) => passed_over.push((at, damage)),
                (Err(damage), None) => return Err(damage),
            }
        }
    }
}
