//! Reading single entries back, in any order, on threads for that alone.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;

use super::buffers::Buffers;
use super::compacted::{Compacted, Spoilt};
use super::crew::{Crew, Work};
use super::folder::{Failure, Folder, NamedFile};
use super::format::BLOCK_BYTES;
use super::segments::{Location, Sample, Samples};
use super::session::{Session, lock};
use super::walk::{Found, Invalid, SegmentWalk};
use crate::{BodyError, Kept, Lsn, ReadDone, SegmentName, Survivor};

/// Threads that read for one log at the same time.
const THREADS_MAX: usize = 2;

/// Segment files kept open for reading. More are opened again each time.
const OPEN_FILES_MAX: usize = 16;

/// Entries that are remembered to be whole, so that further parts of them are read without looking at the rest. 8 bytes
/// each.
const WHOLE_MAX: usize = 1024;

/// So much is kept between two parts of an entry, so that they are one. What is written in front of a message is somewhat less.
const GAP_BYTES_MAX: u32 = 64;

/// What is kept of an entry, as it was written.
#[derive(Default)]
pub(super) struct Remnant {
    /// The parts, and where in the entry each begins.
    pub(super) parts: Vec<(u32, Bytes)>,
    /// What was read to be sure of them.
    pub(super) bytes_read: u64,
}

/// The reads of one writer.
pub(super) struct Bodies {
    folder: Folder,
    log_id: u64,
    session: Arc<Session>,
    /// Does the work; nobody where the owner of the journal does the steps.
    crew: Option<Arc<Crew>>,
    state: Mutex<BodiesState>,
    done: Mutex<Vec<ReadDone>>,
    open: Mutex<OpenFiles>,
    /// Entries whose payloads were found whole, each at its number modulo the length. Only where something is read back.
    whole: OnceLock<Box<[AtomicU64]>>,
    buffers: Buffers,
}

#[derive(Default)]
struct OpenFiles {
    /// The most recently used last.
    files: Vec<(SegmentName, NamedFile)>,
    /// One was wanted since [`Bodies::rest`] was last called.
    was_used: bool,
}

#[derive(Default)]
struct BodiesState {
    questions: VecDeque<Question>,
    /// Threads that were asked for and have not left.
    threads: usize,
    is_stopped: bool,
}

struct Question {
    ticket: u64,
    lsn: Lsn,
    range: Range<u64>,
}

impl Bodies {
    pub(super) fn new(folder: Folder, log_id: u64, session: Arc<Session>, crew: Option<Arc<Crew>>) -> Bodies {
        Bodies {
            folder,
            log_id,
            session,
            crew,
            state: Mutex::default(),
            done: Mutex::default(),
            open: Mutex::default(),
            whole: OnceLock::new(),
            buffers: Buffers::default(),
        }
    }

    pub(super) fn ask(self: &Arc<Bodies>, ticket: u64, lsn: Lsn, range: Range<u64>) {
        let mut state = lock(&self.state);
        state.questions.push_back(Question { ticket, lsn, range });
        let Some(crew) = &self.crew else { return };
        if state.threads == THREADS_MAX {
            return;
        }
        state.threads += 1;
        drop(state);
        if let Err(error) = crew.hand(self.clone()) {
            lock(&self.state).threads -= 1;
            tracing::warn!(%error, "cannot start a thread to read the journal");
        }
    }

    pub(super) fn take_done(&self, out: &mut Vec<ReadDone>) {
        out.append(&mut lock(&self.done));
    }

    /// Closes a file that was freed: as long as it is open, the file system keeps its space.
    pub(super) fn close(&self, freed: SegmentName) {
        lock(&self.open).files.retain(|(name, _)| *name != freed);
    }

    /// Closes all files if nothing was read since this was last called: a process has only so many descriptors for all its logs.
    pub(super) fn rest(&self) {
        let mut open = lock(&self.open);
        if !std::mem::take(&mut open.was_used) {
            open.files = Vec::new();
            self.buffers.rest();
        }
    }

    pub(super) fn stop(&self) {
        lock(&self.state).is_stopped = true;
    }

    /// Answers one of the questions that wait, the nth of them, modulo their number. False if there are none.
    pub(super) fn step(&self, nth: usize) -> bool {
        let mut state = lock(&self.state);
        let Some(at) = nth.checked_rem(state.questions.len()) else { return false };
        let question = state.questions.remove(at);
        drop(state);
        question.into_iter().for_each(|question| self.complete(question));
        true
    }

    /// How many questions wait.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).questions.len()
    }

    fn complete(&self, Question { ticket, lsn, range }: Question) {
        let result = self.answer(lsn, range);
        lock(&self.done).push(ReadDone { ticket, result });
        self.session.wake();
    }

    fn answer(&self, lsn: Lsn, range: Range<u64>) -> Result<Bytes, BodyError> {
        let durable = self.session.durable();
        if lsn > durable {
            return Err(BodyError::NotDurable { lsn, durable });
        }
        loop {
            let location = lock(&self.session.segments).locate(lsn).ok_or(BodyError::Trimmed { lsn })?;
            let name = location.name();
            let result = self.read(lsn, range.clone(), location);
            // A file that was freed meanwhile may have been written over while it was read. What was kept of it is elsewhere.
            if lock(&self.session.segments).contains(name) {
                return result;
            }
            self.close(name);
        }
    }

    /// What is kept of an entry that lies in one of `sources`: for a copy that nobody can hold against the original any more.
    /// Nothing of one that lies in none of them, or was freed meanwhile.
    pub(super) fn survivor(
        &self,
        Survivor { lsn, kept }: &Survivor,
        sources: &[SegmentName],
    ) -> Result<Remnant, (SegmentName, BodyError)> {
        let location = lock(&self.session.segments).locate(*lsn);
        let Some(location) = location.filter(|location| sources.contains(&location.name())) else {
            return Ok(Remnant::default());
        };
        let name = location.name();
        let found = match &location {
            Location::Segment { .. } => self.payload(*lsn, &location).and_then(|payload| {
                let bytes_read = payload.len() as u64;
                cut(*lsn, &payload, kept).map(|parts| Remnant { parts, bytes_read })
            }),
            Location::Compacted(compacted) => self.kept_again(*lsn, compacted, kept).map(|parts| {
                let bytes_read = parts.iter().map(|(_, part)| part.len() as u64).sum();
                Remnant { parts, bytes_read }
            }),
        };
        match lock(&self.session.segments).contains(name) {
            true => found.map_err(|error| (name, error)),
            false => Ok(Remnant::default()),
        }
    }

    /// All of an entry that lies in a segment.
    fn payload(&self, lsn: Lsn, location: &Location) -> Result<Bytes, BodyError> {
        let Location::Segment { number, bytes, nearest } = *location else {
            return Err(BodyError::Trimmed { lsn });
        };
        let (walk, found) = self.find(lsn, number, bytes, nearest)?;
        walk.payload(&found)?.map_err(|invalid| corrupt(&walk, found.offset, lsn, invalid))
    }

    /// What is kept once more of what was kept before.
    fn kept_again(
        &self,
        lsn: Lsn,
        compacted: &Compacted,
        kept: &Kept,
    ) -> Result<Vec<(u32, Bytes)>, BodyError> {
        let file = self.file(SegmentName::Compacted(compacted.number))?;
        let whole = |part: &Range<u32>| -> Result<Option<Bytes>, BodyError> {
            compacted.read(&file, lsn, part)?.map_err(|spoilt| corrupt_piece(&file, lsn, spoilt))
        };
        let parts = match kept {
            Kept::Parts(parts) => parts.clone(),
            Kept::Whole => {
                let pieces = compacted.pieces(&file, lsn, &(0..u32::MAX))?;
                let pieces = pieces.map_err(|spoilt| corrupt_piece(&file, lsn, spoilt))?;
                pieces.iter().map(|piece| piece.offset..piece.end()).collect()
            }
        };
        let mut found = Vec::new();
        for joined in join(&parts) {
            if let Some(bytes) = whole(&joined)? {
                found.push((joined.start, bytes));
                continue;
            }
            // What lies between them was not kept.
            for part in parts.iter().filter(|part| joined.start <= part.start && part.end <= joined.end) {
                found.push((part.start, whole(part)?.ok_or(BodyError::Trimmed { lsn })?));
            }
        }
        Ok(found)
    }

    fn read(&self, lsn: Lsn, range: Range<u64>, location: Location) -> Result<Bytes, BodyError> {
        match location {
            Location::Segment { number, bytes, nearest } => {
                self.read_segment(lsn, range, self.find(lsn, number, bytes, nearest)?)
            }
            Location::Compacted(compacted) => self.read_compacted(lsn, range, &compacted),
        }
    }

    fn read_compacted(
        &self,
        lsn: Lsn,
        Range { start, end }: Range<u64>,
        compacted: &Compacted,
    ) -> Result<Bytes, BodyError> {
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else {
            return Err(BodyError::Trimmed { lsn });
        };
        let file = self.file(SegmentName::Compacted(compacted.number))?;
        let read = compacted.read(&file, lsn, &(start..end))?;
        read.map_err(|spoilt| corrupt_piece(&file, lsn, spoilt))?.ok_or(BodyError::Trimmed { lsn })
    }

    /// Where in a segment an entry is.
    fn find(
        &self,
        lsn: Lsn,
        number: u64,
        bytes: u64,
        nearest: Option<Sample>,
    ) -> Result<(SegmentWalk, Found), BodyError> {
        let walk = SegmentWalk::new(self.file(SegmentName::Written(number))?, number, bytes, self.log_id);
        let nearest = match nearest {
            Some(nearest) => Some(nearest),
            None => self.index(&walk)?.nearest(lsn),
        };
        let found = find(&walk, lsn, nearest)?;
        Ok((walk, found))
    }

    fn read_segment(
        &self,
        lsn: Lsn,
        Range { start, end }: Range<u64>,
        (walk, found): (SegmentWalk, Found),
    ) -> Result<Bytes, BodyError> {
        let entry_bytes = u64::from(found.header.payload_bytes);
        if start > end || end > entry_bytes {
            return Err(BodyError::OutOfRange { lsn, start, end, entry_bytes });
        }
        // The whole has to be looked at, unless that was done: then it may as well be read to be handed out.
        let is_most = end - start > entry_bytes / 2;
        if is_most && !self.is_known_whole(lsn) {
            let mut bytes = self.buffers.take(entry_bytes as usize);
            walk.payload_into(&found, &mut bytes)?
                .map_err(|invalid| corrupt(&walk, found.offset, lsn, invalid))?;
            self.note_whole(lsn);
            return Ok(self.buffers.lend(bytes).slice(start as usize..end as usize));
        }
        self.check_whole(&walk, &found)?;
        let mut bytes = self.buffers.take((end - start) as usize);
        walk.file.read(&mut bytes, found.payload_at() + start)?;
        Ok(self.buffers.lend(bytes))
    }

    /// Looks at all of the payload, unless that was done of late: the checksum is known of the whole alone, and a part must
    /// not be handed out when the disk has changed it.
    fn check_whole(&self, walk: &SegmentWalk, found: &Found) -> Result<(), BodyError> {
        let lsn = found.header.lsn;
        if self.is_known_whole(lsn) {
            return Ok(());
        }
        if walk.payload_crc(found)? != found.header.payload_crc {
            return Err(corrupt(walk, found.offset, lsn, "the checksum of the payload is wrong"));
        }
        self.note_whole(lsn);
        Ok(())
    }

    fn is_known_whole(&self, lsn: Lsn) -> bool {
        self.whole
            .get()
            .is_some_and(|whole| whole[lsn.0 as usize % WHOLE_MAX].load(Ordering::Relaxed) == lsn.0)
    }

    fn note_whole(&self, lsn: Lsn) {
        let whole = self.whole.get_or_init(|| (0..WHOLE_MAX).map(|_| AtomicU64::default()).collect());
        whole[lsn.0 as usize % WHOLE_MAX].store(lsn.0, Ordering::Relaxed);
    }

    /// Walks through a segment that has no index yet, once. Over damage it goes block by block: what lies behind is read
    /// all the same.
    fn index(&self, walk: &SegmentWalk) -> Result<Samples, BodyError> {
        let mut samples = Samples::default();
        let mut offset = BLOCK_BYTES;
        while offset < walk.bytes {
            match walk.header(offset)? {
                Ok(found) => {
                    samples.note(found.header.lsn, offset);
                    offset = found.end();
                }
                Err(_) => offset += BLOCK_BYTES,
            }
        }
        lock(&self.session.segments).set_samples(walk.number, samples.clone());
        Ok(samples)
    }

    fn file(&self, name: SegmentName) -> Result<NamedFile, Failure> {
        let mut open = lock(&self.open);
        open.was_used = true;
        let open = &mut open.files;
        if let Some(at) = open.iter().position(|(other, _)| *other == name) {
            let used = open.remove(at);
            let file = used.1.clone();
            open.push(used);
            return Ok(file);
        }
        let file = match name {
            SegmentName::Written(number) => self.folder.open_segment(number)?,
            SegmentName::Compacted(number) => self.folder.open_compacted(number)?,
        };
        if open.len() == OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push((name, file.clone()));
        Ok(file)
    }
}

impl Work for Bodies {
    fn step(&self) -> bool {
        let _leaving = LeaveAtPanic(self);
        Bodies::step(self, 0);
        let mut state = lock(&self.state);
        let stays = !state.is_stopped && !state.questions.is_empty();
        if !stays {
            state.threads -= 1;
        }
        stays
    }
}

/// Another thread can take the place of one that is gone.
struct LeaveAtPanic<'bodies>(&'bodies Bodies);

impl Drop for LeaveAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.state).threads -= 1;
        }
    }
}

/// Walks from the nearest known entry to the wanted one, over damage block by block.
fn find(walk: &SegmentWalk, lsn: Lsn, nearest: Option<Sample>) -> Result<Found, BodyError> {
    let Some(Sample { mut offset, .. }) = nearest else { return Err(BodyError::Trimmed { lsn }) };
    let mut damage: Option<(u64, Invalid)> = None;
    loop {
        match walk.header(offset)? {
            Ok(found) if found.header.lsn == lsn => return Ok(found),
            Ok(found) if found.header.lsn < lsn => (damage, offset) = (None, found.end()),
            Err(invalid) if offset + BLOCK_BYTES < walk.bytes => {
                damage.get_or_insert((offset, invalid));
                offset += BLOCK_BYTES;
            }
            other => {
                let invalid = other.err().unwrap_or("another entry stands in its place");
                let (offset, invalid) = damage.unwrap_or((offset, invalid));
                return Err(corrupt(walk, offset, lsn, invalid));
            }
        }
    }
}

fn corrupt(walk: &SegmentWalk, offset: u64, lsn: Lsn, invalid: Invalid) -> BodyError {
    BodyError::Corrupt { file: walk.file.path.clone(), offset, lsn, detail: invalid.into() }
}

fn corrupt_piece(file: &NamedFile, lsn: Lsn, (offset, detail): Spoilt) -> BodyError {
    BodyError::Corrupt { file: file.path.clone(), offset, lsn, detail: detail.into() }
}

/// What is kept of a payload.
fn cut(lsn: Lsn, payload: &Bytes, kept: &Kept) -> Result<Vec<(u32, Bytes)>, BodyError> {
    let Kept::Parts(parts) = kept else { return Ok(vec![(0, payload.clone())]) };
    let part = |part: Range<u32>| match payload.len() < part.end as usize {
        false => Ok((part.start, payload.slice(part.start as usize..part.end as usize))),
        true => {
            let (start, end) = (u64::from(part.start), u64::from(part.end));
            Err(BodyError::OutOfRange { lsn, start, end, entry_bytes: payload.len() as u64 })
        }
    };
    join(parts).into_iter().map(part).collect()
}

/// Parts with no more between them than another place in an index takes are kept as one, with what lies between.
fn join(parts: &[Range<u32>]) -> Vec<Range<u32>> {
    let mut joined: Vec<Range<u32>> = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        match joined.last_mut() {
            Some(last) if part.start <= last.end.saturating_add(GAP_BYTES_MAX) => {
                last.end = part.end.max(last.end)
            }
            _ => joined.push(part.clone()),
        }
    }
    joined
}

impl From<Failure> for BodyError {
    fn from(Failure { file, error, .. }: Failure) -> BodyError {
        BodyError::Storage { file, error: Arc::new(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;
    use crate::file::segments::SegmentTable;
    use crate::storage::{MemoryStorage, Storage};

    #[test]
    fn files_that_nobody_reads_from_are_closed() {
        let storage = Arc::new(MemoryStorage::new());
        let folder = Folder::new(storage.clone(), "log");
        storage.create_directory("log").unwrap();
        storage.create(&folder.segment_path(1)).unwrap();
        let session = Arc::new(Session::new(Epoch(1), Lsn::ZERO, SegmentTable::default()));
        let bodies = Bodies::new(folder, 7, session, None);
        let open = || lock(&bodies.open).files.len();
        for _ in 0..2 {
            bodies.file(SegmentName::Written(1)).unwrap();
            bodies.rest();
            assert_eq!(open(), 1, "it was read from a moment ago");
            bodies.rest();
            assert_eq!(open(), 0);
        }
    }
}
