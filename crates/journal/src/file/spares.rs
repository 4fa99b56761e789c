//! Spare files: the next segments, made before they are needed, by threads that also free trimmed ones.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mistakes::{Mistake, is_planted};

use super::FileOptions;
use super::crew::{Crew, Work as CrewWork};
use super::folder::{Failure, Folder, FolderItem, SEGMENT_BYTES_MIN};
use super::format::BLOCK_BYTES;
use super::segments::Condemned;
use super::session::{Session, lock};
use crate::SegmentName;

/// The spare files of one log, and the work on them.
///
/// When the storage refuses room for another, that is no failure of the log: what is there is used, the files of the
/// reserve last, and room is looked for again and again.
pub(super) struct Spares {
    folder: Folder,
    options: FileOptions,
    session: Arc<Session>,
    state: Mutex<SparesState>,
    changed: Condvar,
    /// Does the work; nobody where the owner of the journal does the steps.
    crew: Option<Arc<Crew>>,
}

#[derive(Default)]
struct SparesState {
    ready: Vec<Spare>,
    /// Files to be used when no other can be made.
    reserve: Vec<Spare>,
    /// Files without use that wait to be recycled or removed.
    condemned: Vec<Condemned>,
    /// Spare files that are not wanted any more.
    surplus: Vec<Spare>,
    /// Size of the next segment, in bytes.
    wanted_bytes: u64,
    next_number: u64,
    is_preparing: bool,
    /// Room in the file that was taken last, until it has become a segment.
    taken_bytes: u64,
    /// Files that are being made: what they take is neither free nor ready.
    making: u32,
    /// A spare could not be made; whoever commits will try, and tell of the error if it is met again.
    has_failed: bool,
    /// The storage had no room when it was last asked.
    is_short: bool,
    /// What an entry waits for, in bytes; 0 if none does.
    missing_bytes: u64,
    /// Looks since a file was last taken or freed.
    quiet_looks: u32,
    /// The crew has it in hand.
    is_attended: bool,
    /// To be tried although the storage had no room.
    tries_for_room: bool,
    is_stopped: bool,
}

/// A file that can become a segment; what is in it does not matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spare {
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// It belongs to the reserve.
    pub(super) is_reserve: bool,
}

/// After so many looks without work, the log rests: one spare file is enough for whatever comes.
const LOOKS_BEFORE_REST: u32 = 6;

impl Spares {
    /// Takes over the spare files in the folder; those of an unfit size are removed.
    pub(super) fn open(
        folder: Folder,
        options: FileOptions,
        wanted_bytes: u64,
        session: Arc<Session>,
        crew: Option<Arc<Crew>>,
    ) -> Result<Arc<Spares>, Failure> {
        let mut state = SparesState { wanted_bytes, next_number: 1, ..SparesState::default() };
        for item in folder.list()? {
            let (number, is_reserve) = match item {
                FolderItem::Spare(number) => (number, false),
                FolderItem::Reserve(number) => (number, true),
                _ => continue,
            };
            state.next_number = state.next_number.max(number + 1);
            let spare = Spare { number, bytes: folder.spare_bytes(number, is_reserve)?, is_reserve };
            if !state.keep(spare, &options) {
                folder.remove_spare(spare)?;
            }
        }
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let spares = Arc::new(Spares { folder, options, session, state, changed, crew });
        spares.tell(lock(&spares.state));
        Ok(spares)
    }

    /// A spare file of `regular` bytes or more, or one of `least` bytes if there is no room for better. Waits for the one
    /// that is being prepared, or makes one itself. `None` if the storage has no room at all.
    pub(super) fn take(&self, regular: u64, least: u64) -> Result<Option<Spare>, Failure> {
        let regular = regular.max(least);
        let mut state = lock(&self.state);
        state.quiet_looks = 0;
        while !state.is_fit(regular) && state.is_preparing && regular <= state.wanted_bytes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // A smaller one than is regular was made because there was no room for more.
        let fit = regular.min(state.wanted_bytes).max(least);
        let mut taken = state.take_ready(fit);
        let is_large = least > self.options.segment_bytes_max;
        if taken.is_none() && (is_large || !state.is_short) {
            let spare = Spare { number: state.number(), bytes: regular, is_reserve: false };
            state.making += 1;
            drop(state);
            let made = self.make(spare, least);
            state = lock(&self.state);
            state.making -= 1;
            taken = made?;
            state.is_short |= taken.is_none();
        }
        let taken = taken.or_else(|| state.take_ready(least)).or_else(|| state.take_reserve(least));
        state.missing_bytes = if taken.is_none() { least } else { 0 };
        state.taken_bytes = taken.map_or(0, |spare| spare.bytes - BLOCK_BYTES);
        self.tell(state);
        Ok(taken)
    }

    /// Has a spare file of this size made in the background. To be called when the one before has become a segment.
    pub(super) fn want(self: &Arc<Spares>, bytes: u64) {
        let mut state = lock(&self.state);
        state.wanted_bytes = bytes;
        state.has_failed = false;
        state.taken_bytes = 0;
        self.tell(state);
        self.call();
    }

    /// Has files without use recycled or removed in the background.
    pub(super) fn condemn(self: &Arc<Spares>, files: Vec<Condemned>) {
        lock(&self.state).condemned.extend(files);
        self.call();
    }

    /// When the storage has no room, looks whether it has now. To be called about once a second.
    pub(super) fn try_for_room(self: &Arc<Spares>) {
        let mut state = lock(&self.state);
        state.tries_for_room = state.is_short;
        drop(state);
        self.call();
    }

    /// Has the crew work if there is something to do and it is not at it.
    pub(super) fn call(self: &Arc<Spares>) {
        let Some(crew) = &self.crew else { return };
        let mut state = lock(&self.state);
        if state.is_attended || !state.has_work(&self.options) {
            return;
        }
        state.is_attended = true;
        drop(state);
        if let Err(error) = crew.hand(self.clone()) {
            tracing::warn!(%error, "cannot start a thread to prepare the next segment");
            self.leave(lock(&self.state));
        }
    }

    pub(super) fn stop(&self) {
        lock(&self.state).is_stopped = true;
    }

    /// Waits until the crew has left for good: after [`Self::stop`].
    pub(super) fn wait_unattended(&self) {
        let mut state = lock(&self.state);
        while state.is_attended {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn leave(&self, mut state: MutexGuard<'_, SparesState>) {
        state.is_attended = false;
        self.changed.notify_all();
    }

    /// Frees what was trimmed, prepares the next segment or restores the reserve. When the storage has no room, looks
    /// whether it has now. False if nothing came of it.
    pub(super) fn step(&self) -> bool {
        let mut state = lock(&self.state);
        state.tries_for_room = false;
        let mut has_new_room = false;
        let work = state.next_work(&self.options);
        match work.or_else(|| state.work_for_room(&self.options)) {
            None if state.is_short => return self.look_for_missing(state),
            None => return false,
            Some(Work::Free) => {
                let condemned = std::mem::take(&mut state.condemned);
                state.quiet_looks = 0;
                drop(state);
                self.free(condemned);
                state = lock(&self.state);
                has_new_room = state.has_new_room();
            }
            Some(Work::Remove) => {
                let surplus = std::mem::take(&mut state.surplus);
                drop(state);
                self.remove(surplus);
                state = lock(&self.state);
                has_new_room = state.has_new_room();
            }
            Some(Work::Prepare) => {
                let spare = Spare { number: state.number(), bytes: state.wanted_bytes, is_reserve: false };
                state.is_preparing = true;
                state.making += 1;
                drop(state);
                let outcome = self.make(spare, 0);
                state = lock(&self.state);
                state.is_preparing = false;
                state.making -= 1;
                self.note(&mut state, outcome, spare.bytes);
            }
            Some(Work::Reserve) => {
                let bytes = self.options.reserve_file_bytes();
                let spare = Spare { number: state.number(), bytes, is_reserve: true };
                drop(state);
                let outcome = self.make(spare, 0);
                state = lock(&self.state);
                self.note(&mut state, outcome, bytes);
            }
        }
        let has_gained = !state.is_short;
        self.tell(state);
        self.changed.notify_all();
        if has_new_room {
            self.session.try_again();
        }
        has_gained
    }

    /// Looks how much room there is beyond the files that are there: others fill the disk, and clean up. When there was nothing to
    /// do for long, files that were kept to be written again make way.
    pub(super) fn look(self: &Arc<Spares>) {
        let mut state = lock(&self.state);
        if state.is_stopped {
            return;
        }
        state.quiet_looks = state.quiet_looks.saturating_add(1);
        if state.quiet_looks >= LOOKS_BEFORE_REST {
            state.keep_only(1);
        }
        self.tell(state);
        self.call();
    }

    /// Whether [`Self::step`] has something to do for sure.
    pub(super) fn has_work(&self) -> bool {
        lock(&self.state).next_work(&self.options).is_some()
    }

    /// Whether the storage had no room when it was last asked.
    pub(super) fn is_short(&self) -> bool {
        lock(&self.state).is_short
    }

    pub(super) fn is_stopped(&self) -> bool {
        lock(&self.state).is_stopped
    }

    /// Looks whether there is room for what an entry waits for. All else that is wanted is there.
    fn look_for_missing(&self, mut state: MutexGuard<'_, SparesState>) -> bool {
        if self.folder.available_bytes().unwrap_or(0) < state.missing_bytes {
            return false;
        }
        (state.is_short, state.missing_bytes) = (false, 0);
        self.tell(state);
        self.session.try_again();
        true
    }

    /// Makes a file. A regular one may come out smaller, down to the size of a log's first but not below `least`, if there is
    /// no room for more. `None` if there is none at all, or no more need.
    fn make(&self, mut spare: Spare, least: u64) -> Result<Option<Spare>, Failure> {
        let available = self.folder.available_bytes()?;
        let is_regular = !spare.is_reserve && spare.bytes <= self.options.segment_bytes_max;
        let least = least.max(self.options.segment_bytes_first);
        while is_regular && spare.bytes > available && spare.bytes / 2 >= least {
            spare.bytes = (spare.bytes / 2).next_multiple_of(BLOCK_BYTES);
        }
        if spare.bytes > available {
            return Ok(None);
        }
        let made = match is_regular {
            true => self.folder.create_spare(spare, || !self.is_stopped()),
            false => self.folder.reserve_spare(spare).map(|()| true),
        };
        match made {
            Ok(is_whole) => Ok(is_whole.then_some(spare)),
            Err(failure) if failure.is_want_of_room() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn note(&self, state: &mut SparesState, outcome: Result<Option<Spare>, Failure>, asked_bytes: u64) {
        match outcome {
            Ok(None) => {
                tracing::debug!(asked_bytes, "no room for a spare file");
                state.is_short |= !state.is_stopped;
            }
            Ok(Some(spare)) => {
                tracing::debug!(bytes = spare.bytes, is_reserve = spare.is_reserve, "spare file made");
                state.is_short = false;
                if !spare.is_reserve && state.wanted_bytes == asked_bytes {
                    // A smaller one than was wanted is the most that there is room for.
                    state.wanted_bytes = spare.bytes;
                }
                let files = if spare.is_reserve { &mut state.reserve } else { &mut state.ready };
                files.push(spare);
            }
            Err(Failure { operation, file, error }) => {
                tracing::warn!(operation, file, %error, "cannot prepare the next segment");
                state.has_failed = true;
            }
        }
    }

    /// Tells the session how much room there is. Under the lock, so that what is told last is what is true last.
    fn tell(&self, state: MutexGuard<'_, SparesState>) {
        let files = state.ready.iter().chain(&state.reserve);
        let spare_bytes = state.taken_bytes + files.map(|spare| spare.bytes - BLOCK_BYTES).sum::<u64>();
        let further = match self.folder.available_bytes().unwrap_or(0) {
            _ if state.is_short => 0,
            // What a file that is being made has taken already is not lost.
            available if state.making > 0 => available.max(self.session.room().further_bytes),
            available if available < self.options.segment_bytes_first => 0,
            available => available,
        };
        let is_news = self.session.set_spare_bytes(spare_bytes, further);
        // Whoever is woken may well take this lock.
        drop(state);
        if is_news {
            self.session.wake();
        }
    }

    fn free(&self, condemned: Vec<Condemned>) {
        let (mut retired, mut surplus) = (Vec::new(), Vec::new());
        for Condemned { name, bytes } in condemned {
            let outcome = match name {
                SegmentName::Written(number) => self.free_segment(number, bytes, &mut retired, &mut surplus),
                SegmentName::Compacted(number) => {
                    let spare = Spare { number: lock(&self.state).number(), bytes, is_reserve: false };
                    self.folder.retire_compacted(number, spare).map(|()| surplus.push(spare))
                }
            };
            warn_of(outcome);
        }
        // Only now can no crash bring back the old names, and the files may be written over.
        let outcome = if is_planted(Mistake::SegmentReusedEarly) { Ok(()) } else { self.folder.sync() };
        if outcome.is_ok() {
            let mut state = lock(&self.state);
            for spare in retired {
                let files = if spare.is_reserve { &mut state.reserve } else { &mut state.ready };
                files.push(spare);
            }
            state.surplus.append(&mut surplus);
            state.keep_only(self.options.spare_segments_max);
        }
        warn_of(outcome);
    }

    /// What is not kept gets the name of a spare file all the same: then it may go bit by bit.
    fn free_segment(
        &self,
        number: u64,
        bytes: u64,
        retired: &mut Vec<Spare>,
        surplus: &mut Vec<Spare>,
    ) -> Result<(), Failure> {
        let place = self.place_for(bytes, retired);
        let spare =
            place.unwrap_or_else(|| Spare { number: lock(&self.state).number(), bytes, is_reserve: false });
        self.folder.retire_segment(number, spare)?;
        if place.is_some() {
            retired.push(spare)
        } else {
            surplus.push(spare)
        }
        Ok(())
    }

    /// Removes spare files, which takes a while.
    fn remove(&self, spares: Vec<Spare>) {
        for spare in spares {
            warn_of(self.folder.remove_spare(spare));
        }
    }

    /// As what a trimmed segment is kept, if it is.
    fn place_for(&self, bytes: u64, retired: &[Spare]) -> Option<Spare> {
        let mut state = lock(&self.state);
        let of_reserve = retired.iter().filter(|spare| spare.is_reserve).count();
        // Smaller files than are wanted are left over from a log that grows: they make way for those that are written again
        // and again.
        let ready = state.ready.iter().filter(|spare| spare.bytes >= state.wanted_bytes).count();
        let ready = ready + retired.len() - of_reserve;
        let is_fit = (state.wanted_bytes..=self.options.segment_bytes_max).contains(&bytes);
        let is_reserve = !(is_fit && ready < self.options.spare_segments_max);
        let reserve_file_bytes = self.options.reserve_file_bytes();
        let is_wanted = !is_reserve
            || state.reserve.len() + of_reserve < self.options.reserve_files()
                && (reserve_file_bytes..=2 * reserve_file_bytes).contains(&bytes);
        is_wanted.then(|| Spare { number: state.number(), bytes, is_reserve })
    }
}

impl CrewWork for Spares {
    fn step(&self) -> bool {
        let _leaving = LeaveAtPanic(self);
        Spares::step(self);
        let state = lock(&self.state);
        let stays = state.has_work(&self.options);
        if !stays {
            self.leave(state);
        }
        stays
    }
}

/// Nobody waits for ever for a thread that is gone.
struct LeaveAtPanic<'spares>(&'spares Spares);

impl Drop for LeaveAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = lock(&self.0.state);
            (state.is_preparing, state.has_failed) = (false, true);
            self.0.leave(state);
        }
    }
}

/// Space that could not be freed is tried again by the next claim and trim; the log itself is not concerned.
fn warn_of(outcome: Result<(), Failure>) {
    if let Err(Failure { operation, file, error }) = outcome {
        tracing::warn!(operation, file, %error, "cannot free a file of the journal");
    }
}

/// What is done next.
#[derive(Clone, Copy)]
enum Work {
    Free,
    Remove,
    Prepare,
    Reserve,
}

impl SparesState {
    /// What was freed may be what is wanted. True if somebody waits for it.
    fn has_new_room(&mut self) -> bool {
        self.is_short = false;
        std::mem::take(&mut self.missing_bytes) > 0
    }

    /// Gives spare files up, the smallest first, until there are no more than so many.
    fn keep_only(&mut self, count: usize) {
        while self.ready.len() > count
            && let Some(smallest) = take_smallest(&mut self.ready, 0)
        {
            self.surplus.push(smallest);
        }
    }

    /// Whether the crew has something to do.
    fn has_work(&self, options: &FileOptions) -> bool {
        !self.is_stopped && (self.tries_for_room || self.next_work(options).is_some())
    }

    fn next_work(&self, options: &FileOptions) -> Option<Work> {
        match () {
            () if self.is_stopped => None,
            () if !self.condemned.is_empty() => Some(Work::Free),
            () if !self.surplus.is_empty() => Some(Work::Remove),
            () if self.is_short => None,
            () => self.work_for_room(options),
        }
    }

    /// What there is to do if there is room for it.
    fn work_for_room(&self, options: &FileOptions) -> Option<Work> {
        match () {
            () if self.is_stopped || self.has_failed => None,
            () if !self.is_fit(self.wanted_bytes) => Some(Work::Prepare),
            () if self.reserve.len() < options.reserve_files() => Some(Work::Reserve),
            () => None,
        }
    }

    /// Takes a file in that was there before, if it is of use.
    fn keep(&mut self, spare: Spare, options: &FileOptions) -> bool {
        let Spare { bytes, is_reserve, .. } = spare;
        let (files, is_of_use) = match is_reserve {
            true => (&mut self.reserve, bytes >= SEGMENT_BYTES_MIN),
            false => (&mut self.ready, (self.wanted_bytes..=options.segment_bytes_max).contains(&bytes)),
        };
        let files_max = if is_reserve { options.reserve_files() } else { options.spare_segments_max };
        let is_kept = is_of_use && files.len() < files_max;
        files.extend(is_kept.then_some(spare));
        is_kept
    }

    /// Takes the smallest file of at least this size out; of equal ones the last that was freed: it is the likeliest to be
    /// in the page cache.
    fn take_ready(&mut self, bytes: u64) -> Option<Spare> {
        take_smallest(&mut self.ready, bytes)
    }

    fn take_reserve(&mut self, bytes: u64) -> Option<Spare> {
        take_smallest(&mut self.reserve, bytes)
    }

    fn is_fit(&self, bytes: u64) -> bool {
        self.ready.iter().any(|spare| spare.bytes >= bytes)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

fn take_smallest(files: &mut Vec<Spare>, bytes: u64) -> Option<Spare> {
    let fitting = (0..files.len()).rev().filter(|&at| files[at].bytes >= bytes);
    fitting.min_by_key(|&at| files[at].bytes).map(|at| files.remove(at))
}
