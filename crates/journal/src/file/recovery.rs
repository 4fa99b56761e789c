//! Finding the end of a log after whatever happened to it.
//!
//! Entries are followed from the cursor on, each checked against the one before. Where the chain breaks,
//! either the log ends, or a write was torn by a crash, or something durable was damaged. The headers decide:
//! each carries the durable position known when it was written. If any that can still be read, before or
//! behind the break, says that the missing entry was durable, it is damage and nothing is touched. Otherwise
//! nobody was ever told about the entry, and it is cut off with all that follows.

mod foresee;
mod replaced;

use std::io::IoSlice;
use std::sync::Arc;

use mistakes::{Mistake, is_planted};

pub(super) use self::foresee::{check_missing_claim, damaged_claim, foresee};
use self::replaced::{Replaced, look_for_compacted};
use super::blame::{Break, corrupt};
use super::compacted::Compacted;
use super::folder::{Failure, Folder, FolderItem, NamedFile, SEGMENT_BYTES_MIN};
use super::format::{BLOCK_BYTES, HEADER_BYTES, SegmentHeader};
use super::segments::{Condemned, Samples, Segment};
use super::walk::{Found, Invalid, SegmentWalk};
use crate::{ClaimError, Lsn, SegmentName};

/// What a claim found.
pub(super) struct Recovered {
    /// The segments that hold entries.
    pub(super) segments: Vec<Segment>,
    /// The compacted files.
    pub(super) compacted: Vec<Arc<Compacted>>,
    /// Files that compacted ones have replaced; a crash has kept them from being freed.
    pub(super) superfluous: Vec<Condemned>,
    /// Where replay starts: the entry behind the cursor, or the end of the log.
    pub(super) replay_at: Place,
    /// Where the next entry goes; `None` in a log without segments.
    pub(super) end: Option<End>,
    /// The last entry.
    pub(super) tail: Lsn,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The header checksum of the entry in front of it, if that is known.
    pub(super) link: Option<u32>,
}

/// The end of a log that has segments.
pub(super) struct End {
    pub(super) walk: SegmentWalk,
    pub(super) offset: u64,
    /// The header checksum of the last entry.
    pub(super) link: u32,
}

/// Finds the end, cuts off what was torn, and makes everything up to the end durable.
///
/// `durable` is what the claim record says. `from` is the entry that replay starts behind.
pub(super) fn recover(
    folder: &Folder,
    log_id: u64,
    from: Lsn,
    durable: Lsn,
) -> Result<Recovered, ClaimError> {
    replaced::remove_drafts(folder)?;
    let Replaced { compacted, superfluous } = look_for_compacted(folder, log_id)?;
    let candidates = open_segments(folder, log_id, &superfluous)?;
    if candidates.is_empty() {
        check_empty(folder, from, durable)?;
        let (segments, replay_at) = (Vec::new(), Place::default());
        return Ok(Recovered { segments, compacted, superfluous, replay_at, end: None, tail: Lsn::ZERO });
    }
    let mut scan = Scan::start(&candidates, from, durable)?;
    let invalid = scan.run()?;
    scan.judge(invalid)?;
    let (end, kept) = (scan.index, scan.index + 1);
    scan.cut(folder, invalid)?;
    scan.harden()?;

    let (tail, link, offset, replay_at) = (scan.tail(), scan.link.unwrap_or(0), scan.offset, scan.replay_at);
    let samples = std::mem::take(&mut scan.samples);
    let mut samples = samples.into_iter();
    let first_scanned = scan.first_index;
    // An old segment may be damaged where it begins: what lies behind is read all the same.
    let first_of = |index: usize, candidate: &Candidate| match candidate.first {
        None if index < first_scanned => first_readable(&candidate.walk),
        first => Ok(first),
    };
    let firsts: Result<Vec<Option<Found>>, Failure> =
        candidates[..kept].iter().enumerate().map(|(index, candidate)| first_of(index, candidate)).collect();
    let firsts = firsts?;
    let mut segments = Vec::new();
    for (index, candidate) in candidates[..kept].iter().enumerate() {
        let samples = if index < first_scanned { None } else { samples.next() };
        let Some(first) = firsts[index].map(|found| found.header.lsn).filter(|first| *first <= tail) else {
            continue;
        };
        let follower = firsts[index + 1..].iter().find_map(|next| *next);
        let last = follower.map_or(tail, |next| next.header.lsn.previous().min(tail));
        // Where segments behind it were compacted, it ends in front of what was kept of them.
        let kept = compacted.iter().filter_map(|compacted| compacted.next_entry(first)).min();
        let last = kept.map_or(last, |kept| last.min(kept.previous()));
        let (number, bytes) = (candidate.walk.number, candidate.walk.bytes);
        segments.push(Segment { number, bytes, first, last, samples, is_spoiled: false });
    }
    let end = End { walk: candidates[end].walk.clone(), offset, link };
    Ok(Recovered { segments, compacted, superfluous, replay_at, end: Some(end), tail })
}

/// A log without segments is new, or it is damaged.
fn check_empty(folder: &Folder, from: Lsn, durable: Lsn) -> Result<(), ClaimError> {
    match from.max(durable) {
        Lsn::ZERO => Ok(()),
        _ => Err(corrupt(folder.name(), 0, from.next(), "all segments are missing")),
    }
}

/// A segment file, and its first entry if that has a valid header.
struct Candidate {
    walk: SegmentWalk,
    first: Option<Found>,
}

fn open_segments(
    folder: &Folder,
    log_id: u64,
    superfluous: &[Condemned],
) -> Result<Vec<Candidate>, ClaimError> {
    let mut candidates = Vec::new();
    for item in folder.list()? {
        let FolderItem::Segment(number) = item else { continue };
        if superfluous.iter().any(|condemned| condemned.name == SegmentName::Written(number)) {
            continue;
        }
        let file = folder.open_segment(number)?;
        let bytes = file.bytes()?;
        check_segment_header(&file, number, bytes, log_id)?;
        let walk = SegmentWalk::new(file, number, bytes, log_id);
        let first = walk.header(BLOCK_BYTES)?.ok();
        candidates.push(Candidate { walk, first });
    }
    Ok(candidates)
}

/// The header was durable before the file got its name, so a bad one is damage, never a torn write.
fn check_segment_header(file: &NamedFile, number: u64, bytes: u64, log_id: u64) -> Result<(), ClaimError> {
    let bad = |detail| corrupt(&file.path, 0, Lsn::ZERO, detail);
    if bytes < SEGMENT_BYTES_MIN {
        return Err(bad("the segment is too short"));
    }
    let mut block = [0; HEADER_BYTES];
    file.read(&mut block, 0)?;
    let header = SegmentHeader::decode(&block).map_err(bad)?;
    if header.log_id != log_id || header.number != number {
        return Err(bad("the segment belongs to another log or place"));
    }
    if header.bytes != bytes {
        return Err(bad("the segment has another size than it was made with"));
    }
    Ok(())
}

fn unreadable_start(walk: &SegmentWalk, lsn: Lsn) -> ClaimError {
    corrupt(&walk.file.path, BLOCK_BYTES, lsn, "the first entry of the oldest segment cannot be read")
}

/// An entry above the highest durable position seen so far.
struct Untrusted {
    lsn: Lsn,
    index: usize,
    offset: u64,
}

/// The walk along the chain.
struct Scan<'a> {
    candidates: &'a [Candidate],
    first_index: usize,
    from: Lsn,
    /// The highest durable position that anything readable tells of.
    durable: Lsn,
    index: usize,
    offset: u64,
    expected: Lsn,
    link: Option<u32>,
    replay_at: Place,
    /// Entries that have to be written again, in order.
    untrusted: Vec<Untrusted>,
    /// Of each segment from the first on.
    samples: Vec<Samples>,
    /// The end of the entries in each segment that was left.
    ends: Vec<u64>,
}

impl<'a> Scan<'a> {
    /// Starts in the segment that holds the entry behind `from`.
    fn start(candidates: &'a [Candidate], from: Lsn, durable: Lsn) -> Result<Scan<'a>, ClaimError> {
        let starts_early =
            |candidate: &Candidate| candidate.first.is_some_and(|first| first.header.lsn <= from.next());
        let (index, expected) = match candidates.iter().rposition(starts_early) {
            Some(index) => Self::check_start(candidates, index)?,
            None => (0, Self::check_first(&candidates[0], from)?),
        };
        let link = (expected == Lsn(1)).then_some(0);
        Ok(Scan {
            candidates,
            first_index: index,
            from,
            durable,
            index,
            offset: BLOCK_BYTES,
            expected,
            link,
            replay_at: Place { segment: candidates[index].walk.number, offset: BLOCK_BYTES, link },
            untrusted: Vec::new(),
            samples: vec![Samples::default()],
            ends: Vec::new(),
        })
    }

    /// A segment whose first entry was torn is behind the end: the one before it is the place to start. It is there, because
    /// trimming never takes the segment that holds the durable position.
    fn check_start(candidates: &[Candidate], index: usize) -> Result<(usize, Lsn), ClaimError> {
        let lsn = |index: usize| candidates[index].first.map_or(Lsn::ZERO, |first| first.header.lsn);
        let walk = &candidates[index].walk;
        if walk.entry(BLOCK_BYTES, lsn(index), None)?.is_ok() || lsn(index) <= Lsn(1) {
            return Ok((index, lsn(index)));
        }
        let before = index.checked_sub(1).filter(|&before| {
            let before = &candidates[before];
            before.first.is_some() && before.walk.number + 1 == walk.number
        });
        match before {
            Some(before) => Ok((before, lsn(before))),
            None => Err(unreadable_start(walk, lsn(index))),
        }
    }

    /// No segment starts early enough: only a log that was torn in its very first write may go on.
    fn check_first(candidate: &Candidate, from: Lsn) -> Result<Lsn, ClaimError> {
        match candidate.first {
            Some(first) => Err(ClaimError::Trimmed { from: from.next(), first: first.header.lsn }),
            None if candidate.walk.number == 1 && from == Lsn::ZERO => Ok(Lsn(1)),
            // Trimming leaves only segments that hold something durable.
            None => Err(unreadable_start(&candidate.walk, from.next())),
        }
    }

    fn tail(&self) -> Lsn {
        self.expected.previous()
    }

    fn walk(&self) -> &'a SegmentWalk {
        &self.candidates[self.index].walk
    }

    /// Follows the chain to where it breaks; says why.
    fn run(&mut self) -> Result<Invalid, Failure> {
        loop {
            match self.walk().entry(self.offset, self.expected, self.link)? {
                Ok(found) => self.accept(&found),
                Err(invalid) => match self.first_of_next_segment()? {
                    Some(found) => {
                        self.enter_next_segment();
                        self.accept(&found);
                    }
                    None => return Ok(invalid),
                },
            }
        }
    }

    /// The entry that follows, if it is whole and starts the next segment. So the scan never ends in a
    /// segment that holds nothing: such a one is behind the end, and would come to stand between others.
    fn first_of_next_segment(&self) -> Result<Option<Found>, Failure> {
        match self.candidates.get(self.index + 1) {
            Some(next) => Ok(next.walk.entry(BLOCK_BYTES, self.expected, self.link)?.ok()),
            None => Ok(None),
        }
    }

    fn accept(&mut self, found: &Found) {
        let header = &found.header;
        self.durable = self.durable.max(header.durable);
        let durable = self.durable;
        // They are in order, so this is no more work than adding them was.
        let trusted = self.untrusted.partition_point(|entry| entry.lsn <= durable);
        self.untrusted.drain(..trusted);
        if header.lsn > durable {
            self.untrusted.push(Untrusted { lsn: header.lsn, index: self.index, offset: self.offset });
        }
        if let Some(samples) = self.samples.last_mut() {
            samples.note(header.lsn, self.offset);
        }
        self.offset = found.end();
        self.expected = header.lsn.next();
        self.link = Some(found.crc);
        if header.lsn <= self.from {
            self.replay_at = Place { segment: self.walk().number, offset: self.offset, link: self.link };
        }
    }

    fn enter_next_segment(&mut self) {
        self.ends.push(self.offset);
        self.samples.push(Samples::default());
        self.index += 1;
        self.offset = BLOCK_BYTES;
    }

    /// Refuses the claim if what is missing at the break was durable.
    fn judge(&self, invalid: Invalid) -> Result<(), ClaimError> {
        let next = self.candidates.get(self.index + 1).map(|next| (&next.walk, next.first));
        let is_gap = next.is_some_and(|(next, _)| next.number > self.walk().number + 1);
        let has_header = self.walk().header(self.offset)?.is_ok();
        match next.and_then(|(_, first)| first).map(|first| first.header.lsn) {
            // A cursor in a gap that trimming has left, not a damaged segment.
            Some(first)
                if is_gap && !has_header && self.expected <= self.from.next() && first > self.expected =>
            {
                return Err(ClaimError::Trimmed { from: self.from.next(), first });
            }
            _ => {}
        }
        let (walk, offset, expected) = (self.walk(), self.offset, self.expected);
        let was_durable = self.durable >= expected || self.durable_behind_break()? >= expected;
        let invalid = if was_durable { invalid } else { "the log ends in front of the checkpoint" };
        match was_durable || self.from >= expected {
            true => Err(Break { walk, offset, expected, invalid, next }.damage()?),
            false => Ok(()),
        }
    }

    /// What the readable headers behind the break tell of durability, as far as it takes to judge.
    fn durable_behind_break(&self) -> Result<Lsn, Failure> {
        let mut durable = Lsn::ZERO;
        let mut start = self.offset;
        for candidate in &self.candidates[self.index..] {
            each_header(&candidate.walk, start, |found| {
                durable = durable.max(found.header.durable);
                durable < self.expected
            })?;
            if durable >= self.expected {
                break;
            }
            start = BLOCK_BYTES;
        }
        Ok(durable)
    }

    /// The headers behind the end, in its segment.
    fn torn(&self) -> Result<Vec<Found>, Failure> {
        let mut torn = Vec::new();
        each_header(self.walk(), self.offset, |found| {
            torn.push(found);
            true
        })?;
        Ok(torn)
    }

    /// Removes what is behind the end, so that it can never come back.
    fn cut(&self, folder: &Folder, invalid: Invalid) -> Result<(), Failure> {
        let torn = self.torn()?;
        let later = &self.candidates[self.index + 1..];
        if let Some(last) = torn.last() {
            let (file, bytes) = (&self.walk().file.path, last.end() - self.offset);
            let (offset, entry, reason) = (self.offset, self.expected.0, invalid);
            tracing::warn!(
                file,
                offset,
                bytes,
                entry,
                reason,
                "cut off a torn tail; nothing of it was confirmed"
            );
        }
        for found in &torn {
            let zeros = [0; BLOCK_BYTES as usize];
            self.walk().file.write(&mut [IoSlice::new(&zeros)], found.offset)?;
        }
        if !torn.is_empty() {
            self.walk().file.sync()?;
        }
        // From the end on, so that a crash meanwhile leaves no gap. Not recycled: their numbers will be used
        // again.
        for candidate in later.iter().rev() {
            let file = &candidate.walk.file.path;
            tracing::warn!(file, "removed a segment behind the end of the log; nothing in it was confirmed");
            folder.remove_segment(candidate.walk.number)?;
        }
        if later.is_empty() { Ok(()) } else { folder.sync() }
    }

    /// Writes again what was read but is not known to be durable: it may be in the cache only, and clean,
    /// since its sync failed.
    fn harden(&self) -> Result<(), Failure> {
        let Some(oldest) = self.untrusted.first().filter(|_| !is_planted(Mistake::CacheTrusted)) else {
            return Ok(());
        };
        let mut start = oldest.offset;
        for index in oldest.index..=self.index {
            let end = self.ends.get(index - self.first_index).copied().unwrap_or(self.offset);
            rewrite(&self.candidates[index].walk.file, start, end)?;
            start = BLOCK_BYTES;
        }
        Ok(())
    }
}

/// Calls back for each valid header of this use of the file, at any block from `start` on, until told
/// `false`.
fn each_header(walk: &SegmentWalk, start: u64, mut each: impl FnMut(Found) -> bool) -> Result<(), Failure> {
    let mut piece = vec![0; HEADERS_PIECE_BYTES.min(walk.bytes.saturating_sub(start)) as usize];
    let mut offset = start;
    while offset < walk.bytes {
        let piece = &mut piece[..HEADERS_PIECE_BYTES.min(walk.bytes - offset) as usize];
        walk.file.read(piece, offset)?;
        for (number, block) in piece.chunks(BLOCK_BYTES as usize).enumerate() {
            let at = offset + number as u64 * BLOCK_BYTES;
            if block
                .first_chunk()
                .is_some_and(|header| walk.decode(header, at).is_ok_and(|found| !each(found)))
            {
                return Ok(());
            }
        }
        offset += HEADERS_PIECE_BYTES;
    }
    Ok(())
}

/// Headers are looked for in pieces of this size: a read for each block would take longer than what it reads.
const HEADERS_PIECE_BYTES: u64 = 1 << 20;

/// The first valid header of a segment, wherever it is.
fn first_readable(walk: &SegmentWalk) -> Result<Option<Found>, Failure> {
    let mut first = None;
    each_header(walk, BLOCK_BYTES, |found| {
        first = Some(found);
        false
    })?;
    Ok(first)
}

fn rewrite(file: &NamedFile, start: u64, end: u64) -> Result<(), Failure> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut piece = vec![0; (end - start).min(PIECE_BYTES) as usize];
    let mut offset = start;
    while offset < end {
        let piece = &mut piece[..(end - offset).min(PIECE_BYTES) as usize];
        file.read(piece, offset)?;
        file.write(&mut [IoSlice::new(piece)], offset)?;
        offset += piece.len() as u64;
    }
    file.sync()
}
