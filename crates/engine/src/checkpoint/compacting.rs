//! When old files of the journal are compacted, and what is kept of them.
//!
//! A file behind the last two checkpoints is there only for the bodies of living messages, and a single one keeps it. The rows of the
//! newest runs tell where every body lies that still lives, so two passes over them, away from the engine, decide: the first
//! weighs each file, the second lists what is kept of those that are chosen. What lives in them since the seal only becomes less.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use broker::{Home, Lsn, StoredMessage};
use journal::{Compaction, Kept, SegmentInfo, SegmentName, Survivor};
use mistakes::{Mistake, is_planted};

use super::job::CheckpointError;
use super::store::CheckpointStore;
use crate::run::Run;

/// A compacted file is no larger than a segment, in bytes: what is done in one go, and what one body keeps.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// While the storage is low, in bytes: a few blocks that free much more.
const FILE_BYTES_MAX_WHEN_LOW: u64 = 1024 * 1024;
/// What a message takes beside its bytes: its place in the file's index.
const PLACE_BYTES: u64 = 24;
/// So many bytes of journal come and go for each byte of rows that is read to find out what to do.
const BYTES_PER_ROW_BYTE: u64 = 4;
/// Where nothing says that anything is due: not all that may go is counted, results of tasks are not.
const BYTES_PER_ROW_BYTE_UNASKED: u64 = 32;

/// What a compaction is planned from.
#[derive(Debug)]
pub(super) struct Candidates {
    /// The files that may be compacted.
    pub(super) files: Vec<SegmentInfo>,
    /// Entries that are needed whole, beside what rows name: ascending.
    pub(super) beside: Arc<[Lsn]>,
    /// Files may take so much more than twice what lives in them.
    pub(super) slack_bytes: u64,
    /// How large an entry is taken to be of which all is kept.
    pub(super) entry_bytes: u64,
    pub(super) is_low: bool,
}

/// What there is to go by without a look at the rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// Checkpoints written since the start.
    pub(super) written: u64,
    /// Compactions that the journal has done since the start.
    pub(super) compacted: u64,
    /// What the files take that may be compacted.
    pub(super) file_bytes: u64,
    /// What all messages weigh that wait or are held, in whatever file they are.
    pub(super) waiting_bytes: u64,
    /// What the rows take that would be read.
    pub(super) row_bytes: u64,
    /// What has gone to the journal between two checkpoints.
    pub(super) segment_bytes: u64,
}

/// When the rows were last looked at, and what was found.
#[derive(Debug, Default)]
pub(super) struct LastLook {
    signs: Signs,
    /// The files would have had to take so much more, or twice of what waits would have had to be less, for a compaction to be due.
    short_bytes: u64,
    /// What was written and compacted when it was last asked whether to look.
    considered: (u64, u64),
}

impl LastLook {
    /// Whether anything has happened since it was last asked. Costs nothing.
    pub(super) fn has_news(&mut self, written: u64, compacted: u64) -> bool {
        std::mem::replace(&mut self.considered, (written, compacted)) != (written, compacted)
    }

    /// Whether it is time for another one, and takes note of it. There is something new after a compaction; else if files have
    /// grown, or less waits, by as much as was wanted. The more rows there are, the more has to be written in between.
    pub(super) fn is_due(&mut self, now: Signs) -> bool {
        let new_bytes = (now.written - self.signs.written) * now.segment_bytes;
        let gone_bytes = self.signs.waiting_bytes.saturating_sub(now.waiting_bytes);
        let is_near = now.file_bytes + 2 * gone_bytes >= self.signs.file_bytes + self.short_bytes;
        let per_row_byte = if is_near { BYTES_PER_ROW_BYTE } else { BYTES_PER_ROW_BYTE_UNASKED };
        let is_due = now.compacted > self.signs.compacted
            || (new_bytes > 0 && new_bytes >= now.row_bytes * per_row_byte);
        if is_due {
            // Until it is known what is found, anything may be due.
            *self = Self { signs: now, short_bytes: 0, ..*self };
        }
        is_due
    }

    /// Takes what the look has found.
    pub(super) fn found(&mut self, short_bytes: u64) {
        self.short_bytes = short_bytes;
    }
}

/// What a look at the rows has found.
#[derive(Debug)]
pub(super) struct Found {
    /// What is to be compacted, if that is due.
    pub(super) compaction: Option<Compaction>,
    /// The files take so much less than makes it due.
    pub(super) short_bytes: u64,
}

impl Candidates {
    /// Whether the files take enough that it may be worth something to look at them.
    pub(super) fn are_many(&self) -> bool {
        self.bytes() > self.slack_bytes
    }

    /// Looks what lives in the files, and plans a compaction if that is due.
    pub(super) fn look(&self, store: &CheckpointStore, runs: &[Arc<Run>]) -> Result<Found, CheckpointError> {
        let places = Places::of(&self.files);
        let mut live_bytes = vec![0; self.files.len()];
        store.bodies(runs, |body| {
            if let Some((file, _)) = places.find(&body.stored) {
                live_bytes[file] += u64::from(body.stored.stored_bytes) + PLACE_BYTES;
            }
        })?;
        for lsn in &*self.beside {
            if let Some(file) = places.file_of(*lsn) {
                live_bytes[file] += self.entry_bytes;
            }
        }
        let due_above_bytes = 2 * live_bytes.iter().sum::<u64>() + self.slack_bytes;
        let short_bytes = due_above_bytes.saturating_sub(self.bytes());
        let is_due = self.bytes() > due_above_bytes;
        let chosen = if is_due { self.choose(&live_bytes) } else { Vec::new() };
        if chosen.is_empty() {
            return Ok(Found { compaction: None, short_bytes });
        }
        let survivors = self.survivors(store, runs, &places, &chosen)?;
        let sources: Vec<SegmentName> = chosen.iter().map(|file| self.files[*file].name()).collect();
        Ok(Found { compaction: Some(Compaction { sources, survivors }), short_bytes })
    }

    /// What they take.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What goes into one new file: the files with the least in them, and then full ones that were compacted before, so that there
    /// are few of them. No more is copied than is freed. While files take more than twice what lives in them, there is one.
    fn choose(&self, live_bytes: &[u64]) -> Vec<usize> {
        let is_sparse = |file: &usize| 2 * live_bytes[*file] <= self.files[*file].bytes;
        let (mut sparse, mut full): (Vec<usize>, Vec<usize>) = (0..self.files.len()).partition(is_sparse);
        // Without fractions: the share of a is less than that of b.
        sparse.sort_by(|a, b| {
            let of =
                |one: usize, other: usize| u128::from(live_bytes[one]) * u128::from(self.files[other].bytes);
            of(*a, *b).cmp(&of(*b, *a))
        });
        full.retain(|file| self.files[*file].compacted.is_some());
        full.sort_by_key(|file| self.files[*file].bytes);
        let most = if self.is_low { FILE_BYTES_MAX_WHEN_LOW } else { FILE_BYTES_MAX };
        let (mut bytes, mut live) = (0, 0);
        let mut chosen = Vec::new();
        for file in sparse.into_iter().chain(full) {
            let (bytes_then, live_then) = (bytes + self.files[file].bytes, live + live_bytes[file]);
            if live_then <= most && 2 * live_then <= bytes_then {
                (bytes, live) = (bytes_then, live_then);
                chosen.push(file);
            }
        }
        chosen
    }

    /// What is kept of the chosen files.
    fn survivors(
        &self,
        store: &CheckpointStore,
        runs: &[Arc<Run>],
        places: &Places,
        chosen: &[usize],
    ) -> Result<Vec<Survivor>, CheckpointError> {
        let mut kept: BTreeMap<Lsn, Option<Vec<Range<u32>>>> = BTreeMap::new();
        store.bodies(runs, |body| {
            let stored = &body.stored;
            if let Some((_, lsn)) = places.find(stored).filter(|(file, _)| chosen.contains(file)) {
                let offset = stored.place.offset;
                let parts = kept.entry(lsn).or_insert_with(|| Some(Vec::new()));
                parts.iter_mut().for_each(|parts| parts.push(offset..offset + stored.stored_bytes));
            }
        })?;
        let whole = self.beside.iter().filter(|lsn| {
            let file = places.file_of(**lsn);
            file.is_some_and(|file| chosen.contains(&file))
        });
        kept.extend(whole.map(|lsn| (*lsn, None)));
        if is_planted(Mistake::CompactionLosesSurvivor) {
            kept.pop_first();
        }
        let survivor = |(lsn, parts): (Lsn, Option<Vec<Range<u32>>>)| {
            let kept = parts.map_or(Kept::Whole, |mut parts| {
                parts.sort_unstable_by_key(|part| part.start);
                // A message of several queues lies in one place.
                parts.dedup();
                Kept::Parts(parts)
            });
            Survivor { lsn: journal::Lsn(lsn.0), kept }
        };
        Ok(kept.into_iter().map(survivor).collect())
    }
}

/// Which file has which entry.
pub(crate) struct Places {
    /// The first and the last entry, and the file that has them: ascending, without overlaps.
    ranges: Vec<(u64, u64, usize)>,
}

impl Places {
    pub(crate) fn of(files: &[SegmentInfo]) -> Self {
        let of_file = |(file, info): (usize, &SegmentInfo)| {
            info.entries().into_iter().map(move |range| (range.start().0, range.end().0, file))
        };
        let mut ranges: Vec<(u64, u64, usize)> = files.iter().enumerate().flat_map(of_file).collect();
        ranges.sort_unstable();
        debug_assert!(ranges.is_sorted_by(|(_, last, _), (first, ..)| last < first), "{ranges:?}");
        Self { ranges }
    }

    pub(crate) fn find(&self, stored: &StoredMessage) -> Option<(usize, Lsn)> {
        let Home::Entry(lsn) = stored.place.home() else { return None };
        Some((self.file_of(lsn)?, lsn))
    }

    pub(crate) fn file_of(&self, lsn: Lsn) -> Option<usize> {
        let at = self.ranges.partition_point(|(_, last, _)| *last < lsn.0);
        let (first, _, file) = self.ranges.get(at)?;
        (*first <= lsn.0).then_some(*file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of so many bytes.
    fn candidates(bytes: &[u64]) -> Candidates {
        let file = |(at, bytes): (usize, &u64)| SegmentInfo {
            number: at as u64 + 1,
            first: journal::Lsn(10 * at as u64 + 10),
            last: journal::Lsn(10 * at as u64 + 19),
            bytes: *bytes,
            sealed: true,
            compacted: None,
            is_compactable: true,
        };
        Candidates {
            files: bytes.iter().enumerate().map(file).collect(),
            beside: Arc::new([]),
            slack_bytes: 0,
            entry_bytes: 1,
            is_low: false,
        }
    }

    #[test]
    fn the_emptiest_files_are_chosen_and_more_is_freed_than_is_copied() {
        assert_eq!(candidates(&[100, 100, 100, 100]).choose(&[90, 10, 0, 30]), [2, 1, 3]);
        assert_eq!(candidates(&[100, 100, 100]).choose(&[60, 10, 90]), [1]);
        assert_eq!(candidates(&[100]).choose(&[51]), [0; 0]);
        let large = [50 << 20, 100 << 20, 90 << 20];
        assert_eq!(candidates(&large).choose(&[0, 40 << 20, 45 << 20]), [0, 1], "one file of 64 MB");
        let mut some_compacted = candidates(&[100, 30, 20, 200]);
        (1..4).for_each(|file| some_compacted.files[file].compacted = Some(Arc::new([])));
        assert_eq!(some_compacted.choose(&[20, 29, 19, 100]), [0, 3, 2, 1], "small ones are made one");
        assert_eq!(some_compacted.choose(&[40, 29, 19, 180]), [0, 2], "as far as what is freed pays for it");
        let low = Candidates { is_low: true, ..candidates(&large) };
        assert_eq!(low.choose(&[100, 2 << 20, 45 << 20]), [0]);
    }

    #[test]
    fn an_entry_is_found_in_its_file_only() {
        let mut files = candidates(&[1, 1, 1]).files;
        files[1].compacted =
            Some(Arc::new([journal::Lsn(5)..=journal::Lsn(5), journal::Lsn(23)..=journal::Lsn(25)]));
        let places = Places::of(&files);
        let found: Vec<Option<usize>> =
            [5, 6, 10, 19, 22, 23, 25, 26, 30, 40].map(|lsn| places.file_of(Lsn(lsn))).to_vec();
        let expected = [Some(1), None, Some(0), Some(0), None, Some(1), Some(1), None, Some(2), None];
        assert_eq!(found, expected);
    }

    #[test]
    fn many_rows_are_looked_at_seldom() {
        let signs = |row_bytes, written| Signs {
            written,
            row_bytes,
            segment_bytes: 64,
            file_bytes: 500,
            ..Signs::default()
        };
        let mut last = LastLook::default();
        let due_at = |last: &mut LastLook, row_bytes, range: Range<u64>| -> Vec<u64> {
            range.filter(|written| last.is_due(signs(row_bytes, *written))).collect()
        };
        assert_eq!(due_at(&mut last, 10, 0..4), [1, 2, 3]);
        assert_eq!(due_at(&mut last, 80, 3..15), [8, 13]);
        let compacted = |row_bytes| Signs { compacted: 1, ..signs(row_bytes, 13) };
        assert!(!last.is_due(signs(10, 13)) && last.is_due(compacted(80)), "after a compaction");
        assert!(!last.is_due(compacted(10)));
    }

    #[test]
    fn what_is_far_from_being_due_is_not_looked_at() {
        let mut last = LastLook::default();
        let mut written = 0;
        let mut is_due = |last: &mut LastLook, file_bytes, waiting_bytes| {
            written += 1;
            let (row_bytes, segment_bytes) = (16, 64);
            let now = Signs { written, file_bytes, waiting_bytes, row_bytes, segment_bytes, compacted: 0 };
            last.is_due(now)
        };
        assert!(is_due(&mut last, 1000, 900));
        last.found(300);
        assert!(
            !is_due(&mut last, 1299, 900) && !is_due(&mut last, 1299, 5000) && is_due(&mut last, 1300, 900)
        );
        last.found(300);
        assert!(!is_due(&mut last, 1300, 751) && is_due(&mut last, 1300, 750), "less waits");
        last.found(300);
        assert!(!is_due(&mut last, 1100, 700) && is_due(&mut last, 1100, 500), "files were freed meanwhile");
        last.found(300);
        assert!(
            (0..7).all(|_| !is_due(&mut last, 1100, 500)) && is_due(&mut last, 1100, 500),
            "after a while"
        );
    }
}
