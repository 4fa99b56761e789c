//! Spare files: the next segments, made before they are needed, by a thread that also frees trimmed ones.

use std::sync::{Condvar, Mutex, PoisonError};

use mistakes::{Mistake, is_planted};

use super::FileOptions;
use super::folder::{Failure, Folder, FolderItem};
use super::segments::Segment;
use super::session::{Latch, lock};

/// The spare files of one log, and the work on them.
pub(super) struct Spares {
    folder: Folder,
    options: FileOptions,
    state: Mutex<SparesState>,
    changed: Condvar,
    pub(super) ended: Latch,
}

#[derive(Default)]
struct SparesState {
    ready: Vec<Spare>,
    /// Trimmed segments that wait to be recycled or removed.
    condemned: Vec<Segment>,
    /// Size of the next segment, in bytes.
    wanted_bytes: u64,
    next_number: u64,
    is_preparing: bool,
    /// The thread could not make a spare; the commit thread will try, and tell of the error if it meets it
    /// too.
    has_failed: bool,
    is_stopped: bool,
}

/// A file that can become a segment; what is in it does not matter.
#[derive(Clone, Copy)]
pub(super) struct Spare {
    pub(super) number: u64,
    pub(super) bytes: u64,
}

impl Spares {
    /// Takes over the spare files in the folder; those of an unfit size are removed.
    pub(super) fn open(folder: Folder, options: FileOptions, wanted_bytes: u64) -> Result<Spares, Failure> {
        let mut state = SparesState { wanted_bytes, next_number: 1, ..SparesState::default() };
        for item in folder.list()? {
            let FolderItem::Spare(number) = item else { continue };
            state.next_number = number + 1;
            let bytes = folder.open_spare(number)?.bytes()?;
            let is_fit = (wanted_bytes..=options.segment_bytes_max).contains(&bytes);
            match is_fit && state.ready.len() < options.spare_segments_max {
                true => state.ready.push(Spare { number, bytes }),
                false => folder.remove_spare(number)?,
            }
        }
        Ok(Spares {
            folder,
            options,
            state: Mutex::new(state),
            changed: Condvar::new(),
            ended: Latch::default(),
        })
    }

    /// A spare file of at least `bytes`. Waits for the one that is being prepared, or makes one itself.
    pub(super) fn take(&self, bytes: u64) -> Result<Spare, Failure> {
        let mut state = lock(&self.state);
        while !state.is_fit(bytes) && state.is_preparing && bytes <= state.wanted_bytes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Of equal ones the last that was freed: it is the likeliest to be in the page cache.
        let fitting = (0..state.ready.len()).rev().filter(|&at| state.ready[at].bytes >= bytes);
        if let Some(at) = fitting.min_by_key(|&at| state.ready[at].bytes) {
            return Ok(state.ready.remove(at));
        }
        let number = state.number();
        drop(state);
        if bytes > self.options.segment_bytes_max {
            self.folder.reserve_spare(number, bytes)?;
        } else {
            self.folder.create_spare(number, bytes, || true)?;
        }
        Ok(Spare { number, bytes })
    }

    /// Has a spare file of this size made in the background.
    pub(super) fn want(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.wanted_bytes = bytes;
        state.has_failed = false;
        self.changed.notify_all();
    }

    /// Has trimmed segments recycled or removed in the background.
    pub(super) fn condemn(&self, segments: Vec<Segment>) {
        lock(&self.state).condemned.extend(segments);
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        lock(&self.state).is_stopped = true;
        self.changed.notify_all();
    }

    /// The thread: works until it is stopped.
    pub(super) fn run(&self) {
        while !self.is_stopped() {
            if !self.step() {
                let state = lock(&self.state);
                if state.next_work().is_none() && !state.is_stopped {
                    drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }

    /// Frees what was trimmed, or prepares the next segment. False if there is nothing to do.
    pub(super) fn step(&self) -> bool {
        let mut state = lock(&self.state);
        match state.next_work() {
            None => return false,
            Some(Work::Free) => {
                let condemned = std::mem::take(&mut state.condemned);
                let wanted_bytes = state.wanted_bytes;
                let room = self.options.spare_segments_max.saturating_sub(state.ready.len());
                drop(state);
                self.free(condemned, wanted_bytes, room);
            }
            Some(Work::Prepare) => {
                let spare = Spare { number: state.number(), bytes: state.wanted_bytes };
                state.is_preparing = true;
                drop(state);
                let outcome = self.prepare(spare);
                state = lock(&self.state);
                state.is_preparing = false;
                state.has_failed = outcome.is_none();
                state.ready.extend(outcome);
                self.changed.notify_all();
            }
        }
        true
    }

    /// Whether [`Self::step`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        lock(&self.state).next_work().is_some()
    }

    fn is_stopped(&self) -> bool {
        lock(&self.state).is_stopped
    }

    fn prepare(&self, spare: Spare) -> Option<Spare> {
        match self.folder.create_spare(spare.number, spare.bytes, || !self.is_stopped()) {
            Ok(is_whole) => is_whole.then_some(spare),
            Err(Failure { operation, file, error }) => {
                tracing::warn!(operation, file, %error, "cannot prepare the next segment");
                None
            }
        }
    }

    fn free(&self, condemned: Vec<Segment>, wanted_bytes: u64, room: usize) {
        let mut retired = Vec::new();
        for segment in condemned {
            let is_fit = (wanted_bytes..=self.options.segment_bytes_max).contains(&segment.bytes);
            let outcome = if is_fit && retired.len() < room {
                let spare = Spare { number: lock(&self.state).number(), bytes: segment.bytes };
                let outcome = self.folder.retire_segment(segment.number, spare.number);
                retired.extend(outcome.is_ok().then_some(spare));
                outcome
            } else {
                self.folder.remove_segment(segment.number)
            };
            warn_of(outcome);
        }
        // Only now can no crash bring back the old names, and the files may be written over.
        let outcome = if is_planted(Mistake::SegmentReusedEarly) { Ok(()) } else { self.folder.sync() };
        if outcome.is_ok() {
            lock(&self.state).ready.extend(retired);
        }
        warn_of(outcome);
    }
}

/// Space that could not be freed is tried again by the next claim and trim; the log itself is not concerned.
fn warn_of(outcome: Result<(), Failure>) {
    if let Err(Failure { operation, file, error }) = outcome {
        tracing::warn!(operation, file, %error, "cannot free a trimmed segment");
    }
}

/// What the thread does next.
enum Work {
    Free,
    Prepare,
}

impl SparesState {
    fn next_work(&self) -> Option<Work> {
        match () {
            () if self.is_stopped => None,
            () if !self.condemned.is_empty() => Some(Work::Free),
            () if !self.is_fit(self.wanted_bytes) && !self.has_failed => Some(Work::Prepare),
            () => None,
        }
    }

    fn is_fit(&self, bytes: u64) -> bool {
        self.ready.iter().any(|spare| spare.bytes >= bytes)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}
