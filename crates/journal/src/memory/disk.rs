//! All logs of a memory journal and what is under way on them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::Step;
use super::log::MemoryLog;
use crate::{DestroyError, Epoch, LogName, Lsn, Wake};

/// Everything that a memory journal's lock protects.
#[derive(Default)]
pub(super) struct Disk {
    logs: BTreeMap<LogName, MemoryLog>,
    pub(super) reads: VecDeque<PendingRead>,
    pub(super) stalled: bool,
    sessions: u64,
    submissions: u64,
}

pub(super) struct PendingRead {
    pub(super) log: LogName,
    pub(super) session: u64,
    pub(super) ticket: u64,
    pub(super) lsn: Lsn,
    pub(super) range: Range<u64>,
}

impl Disk {
    /// The log of this name, which is made if need be.
    pub(super) fn log(&mut self, name: &LogName) -> &mut MemoryLog {
        self.logs.entry(name.clone()).or_default()
    }

    pub(super) fn next_session(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions
    }

    /// A stamp by which appends to different logs keep their order.
    pub(super) fn next_submission(&mut self) -> u64 {
        self.submissions += 1;
        self.submissions
    }

    pub(super) fn is_idle(&self) -> bool {
        self.reads.is_empty() && self.logs.values().all(|log| log.oldest_submission().is_none())
    }

    pub(super) fn step(&mut self) -> Step {
        let waiting = self.logs.values_mut().filter(|log| log.oldest_submission().is_some());
        match waiting.min_by_key(|log| log.oldest_submission()) {
            Some(log) => Step::Done(log.settle_oldest()),
            None => Step::Idle,
        }
    }

    pub(super) fn step_read(&mut self, index: usize) -> Step {
        match self.reads.remove(index) {
            Some(read) => Step::Done(self.log(&read.log.clone()).answer(read)),
            None => Step::Idle,
        }
    }

    pub(super) fn crash(&mut self, survivors: usize) -> Vec<Wake> {
        self.reads.clear();
        self.logs.values_mut().filter_map(|log| log.crash(survivors)).collect()
    }

    pub(super) fn destroy(&mut self, name: &LogName, epoch: Epoch) -> Result<Vec<Wake>, DestroyError> {
        let Some(log) = self.logs.get_mut(name) else { return Ok(Vec::new()) };
        if log.epoch > epoch {
            return Err(DestroyError::Superseded { by: log.epoch, epoch });
        }
        let deposed = log.depose(epoch);
        log.erase();
        Ok(deposed.into_iter().collect())
    }
}

/// The one who listens to a session; a clone, so that it can be called without the lock.
pub(super) fn listener(wake: &Option<Wake>) -> Option<Wake> {
    wake.as_ref().map(Arc::clone)
}
