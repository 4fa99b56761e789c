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
}

impl Merged {
    /// Runs with their files, the newest first.
    pub(crate) fn new(runs: impl IntoIterator<Item = RunFile>) -> Result<Self, RunDamage> {
        Self::with(runs, None)
    }

    /// The same, but what is damaged is passed over; of a key whose newest row is lost, an older one shows.
    pub(crate) fn over_holes(runs: impl IntoIterator<Item = RunFile>) -> Result<Self, RunDamage> {
        Self::with(runs, Some(Vec::new()))
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

    fn with(
        runs: impl IntoIterator<Item = RunFile>,
        mut passed_over: Option<Vec<RunDamage>>,
    ) -> Result<Self, RunDamage> {
        let mut sources = Vec::new();
        for (run, file) in runs {
            let mut source = Source { rows: RunRows::new(run, file), head: None };
            source.advance(&mut passed_over)?;
            sources.push(source);
        }
        Ok(Self { sources, passed_over })
    }
}

impl Source {
    fn advance(&mut self, passed_over: &mut Option<Vec<RunDamage>>) -> Result<(), RunDamage> {
        loop {
            match (self.rows.next(), passed_over.as_mut()) {
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
