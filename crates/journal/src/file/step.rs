//! The work of a journal without threads, step by step.

use super::FileJournal;
use super::session::lock;
use crate::LogName;

/// One step of the work on a log, as its threads would do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write what waits, as much as goes into one write. Not before an earlier write was synced.
    Write,
    /// Sync what was written, and tell that it is durable.
    Sync,
    /// Prepare the next segment or a file of the reserve, or free what was trimmed. Where there is nothing to do, look how
    /// much room there is: to be done every few seconds.
    Spares,
    /// Do a part of the compaction that was asked for.
    Compact,
    /// Answer one of the reads that wait: the nth of them, modulo their number.
    Read(usize),
}

/// What there is to do on a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// [`Step::Write`] would write.
    pub write: bool,
    /// [`Step::Sync`] would sync.
    pub sync: bool,
    /// [`Step::Spares`] has something to do.
    pub spares: bool,
    /// [`Step::Compact`] has something to do.
    pub compact: bool,
    /// The storage has no room: [`Step::Spares`] would look for it, and [`Step::Write`] may find none.
    pub is_short: bool,
    /// So many reads wait.
    pub reads: usize,
}

impl FileJournal {
    /// Does one step of the work on a claimed log. False if there was nothing to do. The watcher of the log's writer is
    /// called from here.
    ///
    /// # Panics
    /// If the journal has threads: it was not made by [`FileJournal::stepped`].
    pub fn step(&self, log: &LogName, step: Step) -> bool {
        assert!(self.threads.is_none(), "a journal with threads needs nobody's steps");
        let slot = self.slot(log);
        // Held to the end of the step: a claim comes before it or after it.
        let slot = lock(&slot);
        let Some(running) = slot.as_ref() else { return false };
        match step {
            Step::Write => lock(&running.committer).write_next(),
            Step::Sync => lock(&running.committer).sync_written(),
            Step::Spares => {
                let has_worked = running.spares.step();
                if !has_worked {
                    running.spares.look();
                }
                has_worked
            }
            Step::Compact => running.compactor.step(),
            Step::Read(nth) => running.bodies.step(nth),
        }
    }

    /// The logs that were claimed here so far.
    pub fn logs(&self) -> Vec<LogName> {
        lock(&self.slots).keys().cloned().collect()
    }

    /// What [`FileJournal::step`] would find to do on a log.
    pub fn pending(&self, log: &LogName) -> Pending {
        let Some(running) = lock(&self.slot(log)).clone() else { return Pending::default() };
        let committer = lock(&running.committer);
        let has_ended = running.session.has_ended();
        let has_more = !committer.taken.is_empty() || running.session.has_queued();
        Pending {
            write: !has_ended && committer.written.is_none() && has_more,
            sync: !has_ended && committer.written.is_some(),
            spares: running.spares.has_work(),
            compact: running.compactor.has_work(),
            is_short: running.spares.is_short(),
            reads: running.bodies.waiting(),
        }
    }
}
