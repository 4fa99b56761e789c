//! Compaction: what is needed of several files is copied into one, a small step at a time, and then they are freed.
//!
//! ```text
//!   asked ─> copying, 1 MiB a step ─> index, header, sync, name, sync of the folder ─> the sources leave the table, and are freed
//! ```
//!
//! A crash at any point leaves the sources, or the whole file beside some of them: then a claim frees those that it names.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::bodies::Bodies;
use super::compacted::Draft;
use super::crew::{self, Crew};
use super::folder::{Failure, Folder, FolderItem};
use super::format::BLOCK_BYTES;
use super::session::{Session, lock};
use super::spares::Spares;
use crate::{BodyError, Compaction, Kept, SegmentInfo, SegmentName, Survivor};

/// So much is copied in one step, about: what has to wait for it waits no longer than it does for a commit.
const STEP_BYTES: u64 = 1 << 20;

/// A compacted file takes no more than this, in bytes, but for one entry and the index: places in it have 32 bits. Who asks for parts asks
/// for far less; what is kept whole may be larger than was known.
const BYTES_MAX: u64 = 1 << 30;

/// In the file, beside each kept part: its place in the index.
const PLACE_BYTES: u64 = 25;

/// The compactions of one log, one at a time.
pub(super) struct Compactor {
    folder: Folder,
    log_id: u64,
    session: Arc<Session>,
    spares: Arc<Spares>,
    bodies: Arc<Bodies>,
    /// Does the work; nobody where the owner of the journal does the steps.
    crew: Option<Arc<Crew>>,
    state: Mutex<CompactorState>,
    left: Condvar,
}

struct CompactorState {
    work: Work,
    next_number: u64,
    /// The crew has it in hand.
    is_attended: bool,
    is_stopped: bool,
}

enum Work {
    Nothing,
    Asked(Compaction),
    Copying(Copying),
    /// A step is being done.
    UnderWay,
}

struct Copying {
    draft: Draft,
    sources: Vec<SegmentName>,
    /// What is still to be copied.
    survivors: std::vec::IntoIter<Survivor>,
}

/// Why a compaction came to nothing.
enum GivenUp {
    Failed(Failure),
    /// Something that has to be kept cannot be read as it was written.
    Spoiled(SegmentName, BodyError),
    /// So much is kept whole that the new file would be too large. This is where the last of it lies.
    TooLarge(Option<SegmentName>),
}

impl Compactor {
    pub(super) fn new(
        folder: Folder,
        log_id: u64,
        next_number: u64,
        session: Arc<Session>,
        spares: Arc<Spares>,
        bodies: Arc<Bodies>,
        crew: Option<Arc<Crew>>,
    ) -> Arc<Compactor> {
        let state =
            CompactorState { work: Work::Nothing, next_number, is_attended: false, is_stopped: false };
        let (state, left) = (Mutex::new(state), Condvar::new());
        Arc::new(Compactor { folder, log_id, session, spares, bodies, crew, state, left })
    }

    /// Has it done in the background, unless another one is under way.
    pub(super) fn ask(self: &Arc<Compactor>, compaction: Compaction) {
        let mut state = lock(&self.state);
        if !matches!(state.work, Work::Nothing) || state.is_stopped {
            return;
        }
        state.work = Work::Asked(compaction);
        let Some(crew) = self.crew.as_ref().filter(|_| !state.is_attended) else { return };
        state.is_attended = true;
        drop(state);
        if let Err(error) = crew.hand(self.clone()) {
            tracing::warn!(%error, "cannot start a thread to compact old segments");
            self.leave();
        }
    }

    pub(super) fn stop(&self) {
        lock(&self.state).is_stopped = true;
    }

    /// Waits until the crew has left for good: after [`Self::stop`].
    pub(super) fn wait_unattended(&self) {
        let mut state = lock(&self.state);
        while state.is_attended {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn leave(&self) {
        lock(&self.state).is_attended = false;
        self.left.notify_all();
    }

    /// Whether [`Self::step`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        !matches!(lock(&self.state).work, Work::Nothing) && !self.session.has_ended()
    }

    /// Does a small part of the work. False if there was nothing to do.
    pub(super) fn step(&self) -> bool {
        if !self.has_work() {
            return false;
        }
        let work = std::mem::replace(&mut lock(&self.state).work, Work::UnderWay);
        let next = match work {
            Work::Asked(compaction) => self.begin(compaction),
            Work::Copying(copying) => self.go_on(copying),
            Work::Nothing | Work::UnderWay => Work::Nothing,
        };
        lock(&self.state).work = next;
        true
    }

    fn begin(&self, Compaction { mut sources, survivors }: Compaction) -> Work {
        let infos = lock(&self.session.segments).infos(self.session.durable());
        let sources_of = |info: &&SegmentInfo| info.is_compactable && sources.contains(&info.name());
        let of_sources: Vec<&SegmentInfo> = infos.iter().filter(sources_of).collect();
        let whole_bytes: u64 = of_sources.iter().map(|info| info.bytes).sum();
        let wanted_bytes = bytes_wanted(&survivors).min(whole_bytes);
        sources = of_sources.iter().map(|info| info.name()).collect();
        let available_bytes = self.folder.available_bytes().unwrap_or(0);
        if sources.is_empty() || wanted_bytes > available_bytes {
            tracing::debug!(files = sources.len(), wanted_bytes, available_bytes, "nothing is compacted");
            return Work::Nothing;
        }
        let number = {
            let mut state = lock(&self.state);
            state.next_number += 1;
            state.next_number - 1
        };
        let draft = self
            .all_replaced(&sources)
            .and_then(|replaced| Draft::begin(self.folder.clone(), number, self.log_id, replaced));
        match draft {
            Ok(draft) => Work::Copying(Copying { draft, sources, survivors: survivors.into_iter() }),
            Err(failure) => {
                warn_of(GivenUp::Failed(failure));
                Work::Nothing
            }
        }
    }

    /// The sources, and what compacted files among them have replaced and is not freed yet: a crash must not bring it back when
    /// they are gone that name it.
    fn all_replaced(&self, sources: &[SegmentName]) -> Result<Vec<SegmentName>, Failure> {
        let earlier = lock(&self.session.segments).replaced_by(sources);
        let there: Vec<SegmentName> =
            self.folder.list()?.iter().filter_map(FolderItem::segment_name).collect();
        let earlier = earlier.into_iter().filter(|name| there.contains(name) && !sources.contains(name));
        Ok(sources.iter().copied().chain(earlier).collect())
    }

    fn go_on(&self, mut copying: Copying) -> Work {
        let outcome = match self.copy_some(&mut copying) {
            Ok(true) => return Work::Copying(copying),
            Ok(false) => self.finish(&mut copying).map_err(GivenUp::Failed),
            Err(given_up) => Err(given_up),
        };
        if let Err(given_up) = outcome {
            if let GivenUp::Spoiled(name, _) | GivenUp::TooLarge(Some(name)) = &given_up {
                lock(&self.session.segments).spoil(*name);
            }
            warn_of(given_up);
            copying.draft.abandon();
        }
        Work::Nothing
    }

    /// False if nothing is left to be copied.
    fn copy_some(&self, copying: &mut Copying) -> Result<bool, GivenUp> {
        let Copying { draft, sources, survivors } = copying;
        if survivors.len() == 0 {
            return Ok(false);
        }
        let mut bytes = 0;
        while bytes < STEP_BYTES {
            let Some(survivor) = survivors.next() else { break };
            let found = self.bodies.survivor(&survivor, sources);
            let found = found.map_err(|(name, error)| GivenUp::Spoiled(name, error))?;
            bytes += found.bytes_read;
            for (offset, part) in found.parts {
                draft.add(survivor.lsn, offset, &part);
            }
            if draft.bytes() > BYTES_MAX {
                let location = lock(&self.session.segments).locate(survivor.lsn);
                return Err(GivenUp::TooLarge(location.map(|location| location.name())));
            }
        }
        draft.flush().map_err(GivenUp::Failed)?;
        Ok(true)
    }

    fn finish(&self, Copying { draft, sources, .. }: &mut Copying) -> Result<(), Failure> {
        let kept = match draft.is_empty() {
            true => {
                draft.abandon();
                None
            }
            false => Some(Arc::new(draft.finish()?)),
        };
        let kept_bytes = kept.as_ref().map_or(0, |kept| kept.condemned().bytes);
        let freed = lock(&self.session.segments).replace(sources, kept, self.session.durable());
        freed.iter().for_each(|freed| self.bodies.close(freed.name));
        let freed_bytes: u64 = freed.iter().map(|freed| freed.bytes).sum();
        tracing::debug!(files = freed.len(), freed_bytes, kept_bytes, "old segments compacted");
        self.spares.condemn(freed);
        self.session.compacted.fetch_add(1, Ordering::Release);
        self.session.wake();
        Ok(())
    }
}

impl crew::Work for Compactor {
    fn step(&self) -> bool {
        let _leaving = LeaveAtPanic(self);
        if !lock(&self.state).is_stopped && Compactor::step(self) {
            return true;
        }
        let mut state = lock(&self.state);
        // What was asked for meanwhile was not handed to anybody.
        let has_more = !state.is_stopped && matches!(state.work, Work::Asked(_)) && !self.session.has_ended();
        state.is_attended = has_more;
        drop(state);
        self.left.notify_all();
        has_more
    }
}

/// Nobody waits for ever for a thread that is gone.
struct LeaveAtPanic<'compactor>(&'compactor Compactor);

impl Drop for LeaveAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // All stays as it was; the next claim removes the draft.
            lock(&self.0.state).work = Work::Nothing;
            self.0.leave();
        }
    }
}

/// What the new file takes, as far as what is kept tells.
fn bytes_wanted(survivors: &[Survivor]) -> u64 {
    let bytes = |survivor: &Survivor| match &survivor.kept {
        Kept::Whole => STEP_BYTES,
        Kept::Parts(parts) => {
            parts.iter().map(|part| u64::from(part.end - part.start) + PLACE_BYTES).sum::<u64>()
        }
    };
    survivors.iter().map(bytes).sum::<u64>() + 4 * BLOCK_BYTES
}

/// All stays as it was, and takes its room.
fn warn_of(given_up: GivenUp) {
    match given_up {
        GivenUp::Failed(Failure { operation, file, error }) => {
            tracing::warn!(operation, file, %error, "old segments are not compacted");
        }
        GivenUp::TooLarge(name) => {
            tracing::debug!(?name, BYTES_MAX, "old segments are not compacted: too much of them is kept");
        }
        GivenUp::Spoiled(_, error) => {
            tracing::warn!("old segments are not compacted, and this one never is: {error}");
        }
    }
}
