//! Bytes before, during and after the sync that they wait for.

use super::pool::Pool;
use super::segments::Segments;

/// How far something is on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for the next sync.
    Collecting,
    /// Waits for the sync that is under way.
    Syncing,
    /// May be seen.
    Ready,
}

impl Stage {
    /// All of them, what came first in front.
    pub(super) const OLDEST_FIRST: [Self; 3] = [Self::Ready, Self::Syncing, Self::Collecting];
}

/// Bytes by stage.
#[derive(Debug, Default)]
pub(super) struct Staged {
    collecting: Segments,
    syncing: Segments,
    ready: Segments,
}

impl Staged {
    /// The bytes of a stage.
    pub(super) fn at(&mut self, stage: Stage) -> &mut Segments {
        match stage {
            Stage::Collecting => &mut self.collecting,
            Stage::Syncing => &mut self.syncing,
            Stage::Ready => &mut self.ready,
        }
    }

    /// A sync begins: of what was collected, and only of that.
    pub(super) fn begin_sync(&mut self) {
        std::mem::swap(&mut self.collecting, &mut self.syncing);
    }

    /// The sync is done.
    pub(super) fn end_sync(&mut self, pool: &mut Pool) {
        self.ready.append(&mut self.syncing, pool);
    }
}
