//! Group commit: what was submitted is written in one go and synced once.

use std::io::IoSlice;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mistakes::{Mistake, is_planted};

use super::FileOptions;
use super::folder::{Failure, Folder};
use super::format::{BLOCK_BYTES, ClaimRecord, EntryHeader, HEADER_BYTES, SegmentHeader, padded_bytes};
use super::recovery::End;
use super::session::{Session, Submission, lock};
use super::spares::Spares;
use super::walk::SegmentWalk;
use crate::{Help, LostReason, Lsn};

static ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

/// The end of a log, where it grows. Whoever holds its lock commits: a thread of the crew as a rule, or that of a lone caller.
pub(super) struct Committer {
    pub(super) folder: Folder,
    pub(super) options: FileOptions,
    pub(super) log_id: u64,
    pub(super) session: Arc<Session>,
    pub(super) spares: Arc<Spares>,
    /// The active segment; `None` before the first entry of a log.
    pub(super) active: Option<End>,
    /// Taken out of the queue, and not written yet.
    pub(super) taken: Vec<Submission>,
    /// Written, and not synced yet. Never there when the lock is free and threads commit.
    pub(super) written: Option<Batch>,
    pub(super) pace: Pace,
}

/// How long a write with its sync takes of late.
#[derive(Default)]
pub(super) struct Pace {
    average: Duration,
}

/// The offer to a lone caller to commit its entry on its own thread.
pub(super) struct CommitHelper {
    pub(super) committer: Arc<Mutex<Committer>>,
    pub(super) session: Arc<Session>,
}

/// Ends the log if the one who commits panics: nobody knows then what is on disk.
pub(super) struct LoseAtPanic<'session>(pub(super) &'session Session);

/// The entries of one write: they lie one behind the other in the active segment.
pub(super) struct Batch {
    headers: Vec<[u8; HEADER_BYTES]>,
    /// Where each of them is.
    places: Vec<(Lsn, u64)>,
    end: u64,
    link: u32,
    payload_bytes: u64,
}

impl Committer {
    /// Commits all that is queued. False if the log has ended by that.
    pub(super) fn commit_queued(&mut self) -> bool {
        while self.commit_part() {}
        !self.session.has_ended()
    }

    /// Commits as much of what is queued as goes into one write. False if there was nothing to do, or no room to do it.
    pub(super) fn commit_part(&mut self) -> bool {
        let began = Instant::now();
        let has_worked = self.write_next() | self.sync_written();
        if has_worked {
            self.pace.note(began.elapsed());
        }
        has_worked
    }

    /// Writes a part of what is queued, unless a part that was written waits for its sync. False if there was nothing
    /// to do, or no room to do it; a failure ends the log.
    pub(super) fn write_next(&mut self) -> bool {
        if self.written.is_some() || self.session.has_ended() {
            return false;
        }
        self.session.take(&mut self.taken);
        if self.taken.is_empty() {
            return false;
        }
        match self.write_part() {
            Ok(None) => {
                self.session.lack_room();
                return false;
            }
            Ok(batch) => self.written = batch,
            Err(failure) => self.session.lose(LostReason::from(failure)),
        }
        true
    }

    /// Syncs what was written, and tells that it is durable. False if there was nothing to do; a failure ends the log.
    pub(super) fn sync_written(&mut self) -> bool {
        let Some(batch) = self.written.take() else { return false };
        if self.session.has_ended() {
            return false;
        }
        match self.sync(&batch) {
            Ok(()) => self.publish(&batch),
            Err(failure) => self.session.lose(LostReason::from(failure)),
        }
        true
    }

    /// `None` if there is no room for it.
    fn write_part(&mut self) -> Result<Option<Batch>, Failure> {
        let room = self.active.as_ref().map_or(0, |active| active.walk.bytes - active.offset);
        let mut count = self.fitting(room);
        if count == 0 {
            let first_bytes = padded_bytes(self.taken[0].payload.len() as u64);
            let Some(bytes) = self.roll(first_bytes)? else { return Ok(None) };
            count = self.fitting(bytes - BLOCK_BYTES);
        }
        let mut taken = std::mem::take(&mut self.taken);
        let written = self.write(&taken[..count]);
        taken.drain(..count);
        self.taken = taken;
        written.map(Some)
    }

    fn sync(&mut self, batch: &Batch) -> Result<(), Failure> {
        let Some(active) = &mut self.active else { unreachable!("a segment was started for the batch") };
        match active.walk.file.sync() {
            Err(_) if is_planted(Mistake::FailedSyncRetried) => active.walk.file.sync()?,
            synced => synced?,
        }
        active.offset = batch.end;
        active.link = batch.link;
        self.session.set_active_bytes(active.walk.bytes - active.offset);
        Ok(())
    }

    /// Before the entries are published they are noted, so that they can be read from then on.
    fn publish(&self, batch: &Batch) {
        let (Some(active), Some((last, _))) = (&self.active, batch.places.last()) else { return };
        let mut segments = lock(&self.session.segments);
        for &(lsn, offset) in &batch.places {
            segments.note(active.walk.number, active.walk.bytes, lsn, offset);
        }
        drop(segments);
        let up_to = if is_planted(Mistake::WatermarkTooHigh) { self.session.submitted() } else { *last };
        self.session.publish(up_to, batch.payload_bytes);
    }

    /// How many entries from the first on go into one write: as fit in `room`, up to about the size of a
    /// batch.
    fn fitting(&self, room: u64) -> usize {
        let first_bytes = padded_bytes(self.taken[0].payload.len() as u64);
        let room = room.min(self.options.commit_bytes_max.max(first_bytes));
        let mut bytes = 0;
        let fits = |submission: &&Submission| {
            bytes += padded_bytes(submission.payload.len() as u64);
            bytes <= room
        };
        self.taken.iter().take_while(fits).count()
    }

    /// Starts a new segment with room for an entry of this size. What is in the old one is durable already. `None` if there
    /// is no room for one.
    fn roll(&mut self, entry_bytes: u64) -> Result<Option<u64>, Failure> {
        let (number, regular_bytes, link) = match &self.active {
            Some(active) => {
                (active.walk.number + 1, self.options.bytes_after(active.walk.bytes), active.link)
            }
            None => (1, self.options.segment_bytes_first, 0),
        };
        let Some(spare) = self.spares.take(regular_bytes, BLOCK_BYTES + entry_bytes)? else {
            return Ok(None);
        };
        let (log_id, bytes, epoch) = (self.log_id, spare.bytes, self.session.epoch);
        let file = self.folder.promote_spare(spare, SegmentHeader { log_id, number, bytes, epoch })?;
        self.session.set_active_bytes(bytes - BLOCK_BYTES);
        self.spares.want(self.options.bytes_after(bytes));
        if self.active.is_some() {
            self.session.sealed.fetch_add(1, Ordering::Release);
        }
        let walk = SegmentWalk::new(file, number, bytes, log_id);
        self.active = Some(End { walk, offset: BLOCK_BYTES, link });
        Ok(Some(bytes))
    }

    fn write(&mut self, part: &[Submission]) -> Result<Batch, Failure> {
        let Some(active) = &mut self.active else { unreachable!("a segment was started for the batch") };
        let batch = Batch::new(part, active, self.log_id, &self.session);
        let mut slices = Vec::with_capacity(3 * part.len());
        for (header, submission) in batch.headers.iter().zip(part) {
            let bytes = HEADER_BYTES + submission.payload.len();
            let padding = bytes.next_multiple_of(BLOCK_BYTES as usize) - bytes;
            slices.push(IoSlice::new(header));
            slices.push(IoSlice::new(&submission.payload));
            slices.push(IoSlice::new(&ZEROS[..padding]));
        }
        active.walk.file.write(&mut slices, active.offset)?;
        Ok(batch)
    }

    /// After a drain the end is known to be clean: the next claim takes damage for damage, not for a torn
    /// write.
    ///
    /// What found no room will find none any more.
    pub(super) fn end(&self) {
        if !self.taken.is_empty() || self.session.has_queued() {
            return self.session.lose(self.folder.no_room().into());
        }
        let (log_id, epoch, durable) = (self.log_id, self.session.epoch, self.session.durable());
        if let Err(Failure { operation, file, error }) =
            self.folder.write_claim(ClaimRecord { log_id, epoch, durable })
        {
            tracing::warn!(operation, file, %error, "cannot mark the clean end of the journal");
        }
    }
}

impl Help for CommitHelper {
    fn help(&self) {
        if let Ok(mut committer) = self.committer.try_lock()
            && committer.pace.is_quick()
        {
            let _guard = LoseAtPanic(&self.session);
            committer.commit_queued();
        }
        // What is left, or was not begun, is the crew's. If another holds the lock, it takes what is queued or the crew does.
        self.session.rouse();
    }
}

impl Drop for LoseAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lose(LostReason::ThreadEnded { thread: "commit" });
        }
    }
}

impl Pace {
    /// A caller's thread is not held up for longer than about this.
    const QUICK: Duration = Duration::from_micros(400);

    fn note(&mut self, took: Duration) {
        self.average = (self.average * 7 + took) / 8;
    }

    fn is_quick(&self) -> bool {
        self.average < Self::QUICK
    }
}

impl Batch {
    fn new(part: &[Submission], active: &End, log_id: u64, session: &Session) -> Batch {
        let mut batch = Batch {
            headers: Vec::with_capacity(part.len()),
            places: Vec::with_capacity(part.len()),
            end: active.offset,
            link: active.link,
            payload_bytes: 0,
        };
        let durable = session.durable();
        for Submission { lsn, payload } in part {
            batch.push(EntryHeader {
                log_id,
                segment: active.walk.number,
                lsn: *lsn,
                epoch: session.epoch,
                durable,
                payload_bytes: payload_bytes(*lsn, payload.len()),
                link: batch.link,
                payload_crc: crc32c::crc32c(payload),
            });
        }
        batch
    }

    fn push(&mut self, header: EntryHeader) {
        let (bytes, crc) = header.encode();
        self.headers.push(bytes);
        self.places.push((header.lsn, self.end));
        self.end += header.padded_bytes();
        self.link = crc;
        self.payload_bytes += u64::from(header.payload_bytes);
    }
}

fn payload_bytes(lsn: Lsn, bytes: usize) -> u32 {
    match u32::try_from(bytes) {
        Ok(bytes) => bytes,
        Err(_) => unreachable!("append refuses an entry as large as {lsn}: {bytes} bytes"),
    }
}
