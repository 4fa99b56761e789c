//! What is kept of old segments is read under the same places, whatever happens meanwhile.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use journal::storage::{MemoryStorage, Storage};
use journal::{
    BodyError, ClaimError, Compaction, Cursor, FileJournal, FileOptions, FlawKind, Journal, Kept, Lsn,
    SegmentInfo, SegmentName, Step, Survey, Survivor, Writer,
};

use crate::support::{files, flip, fork, log, payload, segments, try_claim, wait_until};

/// Entries of one block each in a segment.
const PER_SEGMENT: u64 = 7;
const BODY_BYTES: usize = 3000;

fn options() -> FileOptions {
    FileOptions {
        segment_bytes_first: 32 << 10,
        segment_bytes_max: 32 << 10,
        spare_segments_max: 1,
        ..FileOptions::new(0x5eed)
    }
}

/// A log whose work is done step by step.
struct Log {
    storage: MemoryStorage,
    journal: FileJournal,
    writer: Box<dyn Writer>,
    from: Option<Cursor>,
    last: u64,
    epoch: u64,
}

impl Log {
    /// So many full segments, of which all but the last two are behind the trim position.
    fn with_segments(count: u64) -> Log {
        let storage = MemoryStorage::new();
        let mut log = Log::claim(storage, 1, None);
        let last = count * PER_SEGMENT;
        (1..=last).for_each(|_| log.append());
        log.trim(last - 2 * PER_SEGMENT + 1);
        log
    }

    fn claim(storage: MemoryStorage, epoch: u64, from: Option<Cursor>) -> Log {
        Log::try_claim(storage, epoch, from).unwrap()
    }

    fn try_claim(storage: MemoryStorage, epoch: u64, from: Option<Cursor>) -> Result<Log, ClaimError> {
        let journal = FileJournal::stepped(Arc::new(storage.clone()), options());
        let claim = try_claim(&journal, epoch, from)?;
        let (writer, last) = (claim.writer, claim.tail.0);
        let mut log = Log { storage, journal, writer, from, last, epoch };
        log.work();
        Ok(log)
    }

    fn restart(self) -> Log {
        let Log { storage, journal, writer, from, epoch, .. } = self;
        drop((writer, journal));
        Log::claim(storage, epoch + 1, from)
    }

    fn append(&mut self) {
        self.last += 1;
        self.writer.append(Lsn(self.last), payload(self.last, BODY_BYTES));
        self.work();
    }

    /// Lets go of what lies below `before`, but keeps all that holds entries.
    fn trim(&mut self, before: u64) {
        self.from = Some(self.writer.cursor(Lsn(before - 1)));
        self.writer.trim(Lsn(before), &[Lsn(1)..=Lsn(u64::MAX)]);
        self.work();
    }

    /// Does all that there is to do.
    fn work(&mut self) {
        let steps = [Step::Write, Step::Sync, Step::Spares, Step::Compact];
        while steps.iter().any(|step| self.journal.step(&log(), *step)) && !self.storage.is_off() {}
    }

    fn names(&self, is_wanted: impl Fn(&SegmentInfo) -> bool) -> Vec<SegmentName> {
        self.writer.segments().iter().filter(|info| is_wanted(info)).map(SegmentInfo::name).collect()
    }

    /// Compacts all that may be, and keeps this part of these entries.
    fn compact(&mut self, kept: &[u64], part: Range<u32>) {
        let sources = self.names(|info| info.is_compactable);
        self.writer.compact(Compaction { sources, survivors: survivors(kept, part) });
        self.work();
    }

    fn read(&mut self, lsn: u64, part: Range<u32>) -> Result<Bytes, BodyError> {
        self.writer.read(7, Lsn(lsn), u64::from(part.start)..u64::from(part.end));
        assert!(self.journal.step(&log(), Step::Read(0)));
        let mut done = Vec::new();
        self.writer.completed_reads(&mut done);
        done.remove(0).result
    }

    fn assert_kept(&mut self, kept: &[u64], part: Range<u32>) {
        let (start, end) = (part.start as usize, part.end as usize);
        for lsn in kept {
            let whole = payload(*lsn, BODY_BYTES);
            assert_eq!(self.read(*lsn, part.clone()).unwrap(), whole[start..end], "entry {lsn}");
            let inside = part.start + 3..part.end - 5;
            assert_eq!(self.read(*lsn, inside).unwrap(), whole[start + 3..end - 5], "inside entry {lsn}");
        }
    }

    fn survey(&self) -> Survey {
        Survey::of(Arc::new(self.storage.clone()), &log()).unwrap().unwrap()
    }
}

fn survivors(kept: &[u64], part: Range<u32>) -> Vec<Survivor> {
    let survivor = |lsn: &u64| Survivor { lsn: Lsn(*lsn), kept: Kept::Parts(vec![part.clone()]) };
    kept.iter().map(survivor).collect()
}

fn compacted(storage: &MemoryStorage) -> Vec<String> {
    files(storage, ".compacted")
}

/// One entry of each of the first segments.
fn one_of_each(segments: u64) -> Vec<u64> {
    (0..segments).map(|segment| segment * PER_SEGMENT + 1 + segment % PER_SEGMENT).collect()
}

#[test]
fn what_is_kept_is_read_as_before_and_the_segments_are_freed() {
    let mut log = Log::with_segments(22);
    let kept = one_of_each(20);
    assert!(log.writer.segments().len() >= 22);
    log.compact(&kept, 100..300);
    assert_eq!(log.writer.compacted_count(), 1);
    assert_eq!(log.names(|info| info.compacted.is_some()), [SegmentName::Compacted(1)]);
    assert!(segments(&log.storage).len() <= 3, "{:?}", segments(&log.storage));
    let info = log.writer.segments().remove(0);
    assert!(info.bytes < 20 * 1024 && info.is_compactable && info.sealed, "{info:?}");
    let entries = info.entries();
    let has: Vec<u64> = entries.iter().flat_map(|range| range.start().0..=range.end().0).collect();
    assert_eq!(has, kept);
    for turn in 0..2 {
        log.assert_kept(&kept, 100..300);
        // What was not kept is gone, in part or wholly.
        for (lsn, part) in [(kept[3], 99..300), (kept[3], 100..301), (kept[3], 400..500), (kept[3] + 1, 0..9)]
        {
            assert!(matches!(log.read(lsn, part), Err(BodyError::Trimmed { .. })), "turn {turn}");
        }
        assert_eq!(log.read(log.last, 0..9).unwrap(), payload(log.last, 9));
        log = log.restart();
    }
    assert_eq!(log.writer.segments()[0].entries(), entries);
}

#[test]
fn what_was_compacted_is_compacted_again_with_others() {
    let mut log = Log::with_segments(8);
    log.compact(&one_of_each(6), 100..300);
    (0..6 * PER_SEGMENT).for_each(|_| log.append());
    log.trim(12 * PER_SEGMENT + 1);
    let mut kept = one_of_each(12);
    kept.retain(|lsn| lsn % 3 != 0);
    log.compact(&kept, 150..250);
    assert_eq!(log.names(|info| info.compacted.is_some()), [SegmentName::Compacted(2)]);
    assert_eq!(compacted(&log.storage), ["log/0000000000000002.compacted"]);
    log.assert_kept(&kept, 150..250);
    log = log.restart();
    log.assert_kept(&kept, 150..250);
    let dropped = one_of_each(12).into_iter().find(|lsn| lsn % 3 == 0).unwrap();
    assert!(matches!(log.read(dropped, 150..250), Err(BodyError::Trimmed { .. })));
}

#[test]
fn whole_entries_and_neighbours_are_kept() {
    let mut log = Log::with_segments(5);
    let whole = Survivor { lsn: Lsn(2), kept: Kept::Whole };
    // Close together, with more between them, and up to the end.
    let parts = vec![0..100, 140..200, 1000..1100, 2900..3000];
    let parts = Survivor { lsn: Lsn(3), kept: Kept::Parts(parts) };
    let survivors = vec![whole, parts];
    let sources = log.names(|info| info.is_compactable);
    log.writer.compact(Compaction { sources, survivors: survivors.clone() });
    log.work();
    for _ in 0..2 {
        log.assert_kept(&[2], 0..3000);
        log.assert_kept(&[3], 0..200);
        log.assert_kept(&[3], 1000..1100);
        log.assert_kept(&[3], 2900..3000);
        assert!(matches!(log.read(3, 150..1050), Err(BodyError::Trimmed { .. })));
        // Once more, now out of what was kept.
        let sources = log.names(|info| info.is_compactable);
        log.writer.compact(Compaction { sources, survivors: survivors.clone() });
        log.work();
    }
    assert_eq!(log.writer.compacted_count(), 3);
}

#[test]
fn large_parts_are_read_from_their_middle() {
    let storage = MemoryStorage::new();
    let mut log = Log::claim(storage, 1, None);
    let large = payload(9, 700_000);
    log.writer.append(Lsn(1), large.clone());
    log.last = 1;
    (0..14).for_each(|_| log.append());
    log.trim(9);
    log.compact(&[1], 1000..600_000);
    assert_eq!(log.writer.compacted_count(), 1);
    for part in [1000..600_000u32, 65_000..67_000, 131_071..131_074, 599_990..600_000] {
        assert_eq!(log.read(1, part.clone()).unwrap(), large[part.start as usize..part.end as usize]);
    }
}

#[test]
fn what_nobody_needs_any_more_is_trimmed() {
    let mut log = Log::with_segments(10);
    let kept = one_of_each(8);
    log.compact(&kept, 100..300);
    let before = Lsn(8 * PER_SEGMENT + 1);
    // Needed in a place where the file has nothing.
    log.writer.trim(before, &[Lsn(kept[2])..=Lsn(kept[2])]);
    log.work();
    assert_eq!(compacted(&log.storage).len(), 1);
    log.writer.trim(before, &[Lsn(kept[2] + 1)..=Lsn(kept[3] - 1)]);
    log.work();
    assert!(compacted(&log.storage).is_empty());
    assert!(matches!(log.read(kept[2], 100..300), Err(BodyError::Trimmed { .. })));
    log.restart();
}

#[test]
fn a_compaction_without_survivors_only_frees() {
    let mut log = Log::with_segments(10);
    log.compact(&[], 0..1);
    assert!(compacted(&log.storage).is_empty() && files(&log.storage, ".new").is_empty());
    assert!(segments(&log.storage).len() <= 3);
    log.restart();
}

#[test]
fn what_a_replay_needs_is_never_compacted() {
    let mut log = Log::with_segments(10);
    // Also not when it is asked for.
    let sources = log.names(|_| true);
    log.writer.compact(Compaction { sources, survivors: survivors(&one_of_each(8), 100..300) });
    log.work();
    assert!(log.names(|info| info.compacted.is_none()).len() >= 2);
    let last = log.last;
    assert_eq!(log.restart().last, last);
    // Without a trim since the claim, nothing is.
    let mut log = Log::with_segments(10).restart();
    assert!(log.names(|info| info.is_compactable).is_empty());
    log.compact(&[], 0..1);
    assert_eq!(log.writer.compacted_count(), 0);
}

#[test]
fn a_crash_at_any_step_leaves_the_segments_or_what_was_kept() {
    let kept = one_of_each(10);
    let mut outcomes = [0, 0];
    for (operations, seed) in (0..40).flat_map(|operations| (0..6).map(move |seed| (operations, seed))) {
        let mut log = Log::with_segments(12);
        log.storage.cut_power_after(operations);
        log.compact(&kept, 100..300);
        let (storage, from) = (log.storage.clone(), log.from);
        drop(log);
        storage.crash(seed);
        let mut log = Log::claim(storage, 2, from);
        log.assert_kept(&kept, 100..300);
        let is_compacted = !compacted(&log.storage).is_empty();
        outcomes[usize::from(is_compacted)] += 1;
        assert_eq!(segments(&log.storage).len() <= 3, is_compacted, "{operations} {seed}");
        assert!(files(&log.storage, ".new").is_empty(), "{operations} {seed}");
        // And it goes on from there.
        log.trim(10 * PER_SEGMENT + 1);
        log.compact(&kept[2..], 100..300);
        log.assert_kept(&kept[2..], 100..300);
        assert_eq!(compacted(&log.storage).len(), 1);
    }
    assert!(outcomes[0] > 10 && outcomes[1] > 10, "{outcomes:?}");
}

#[test]
fn what_was_replaced_twice_does_not_come_back() {
    for operations in 0..20 {
        let mut log = Log::with_segments(8);
        let sources = log.names(|info| info.is_compactable);
        log.writer.compact(Compaction { sources, survivors: survivors(&one_of_each(6), 100..300) });
        // The segments wait to be freed.
        while log.journal.step(&crate::support::log(), Step::Compact) {}
        assert_eq!(segments(&log.storage).len(), 8);
        let sources = vec![SegmentName::Compacted(1)];
        log.writer.compact(Compaction { sources, survivors: survivors(&one_of_each(5), 100..300) });
        while log.journal.step(&crate::support::log(), Step::Compact) {}
        let (storage, from) = (log.storage.clone(), log.from);
        drop(log);
        // And the next claim does not come to an end with it.
        storage.cut_power_after(operations);
        drop(Log::try_claim(storage.clone(), 2, from));
        storage.crash(operations);
        let mut log = Log::claim(storage, 3, from);
        assert_eq!((segments(&log.storage).len(), compacted(&log.storage).len()), (2, 1), "{operations}");
        log.assert_kept(&one_of_each(5), 100..300);
    }
}

#[test]
fn a_failed_write_or_sync_leaves_all_as_it_was() {
    let kept = one_of_each(10);
    for fails_sync in [false, true] {
        for count in 0..4 {
            let mut log = Log::with_segments(12);
            match fails_sync {
                false => log.storage.fail_write_after(count),
                true => log.storage.fail_sync_after(count),
            }
            log.compact(&kept, 100..300);
            log.assert_kept(&kept, 100..300);
            log.storage.forget_faults();
            (0..PER_SEGMENT).for_each(|_| log.append());
            log = log.restart();
            log.assert_kept(&kept, 100..300);
        }
    }
}

#[test]
fn without_room_nothing_is_compacted() {
    let mut log = Log::with_segments(12);
    let kept = one_of_each(10);
    log.storage.set_capacity(log.storage.bytes() + 4096);
    log.compact(&kept, 100..300);
    assert_eq!(log.writer.compacted_count(), 0);
    assert!(files(&log.storage, ".new").is_empty());
    log.storage.lift_capacity();
    log.compact(&kept, 100..300);
    log.assert_kept(&kept, 100..300);
    assert_eq!(log.writer.compacted_count(), 1);
}

#[test]
fn a_damaged_survivor_leaves_its_segment_as_it_is() {
    let mut log = Log::with_segments(12);
    let kept = one_of_each(10);
    flip(&log.storage, &segments(&log.storage)[2], 4096 * (1 + 2) + 500);
    log.compact(&kept, 100..300);
    assert_eq!(log.writer.compacted_count(), 0);
    assert_eq!(
        log.names(|info| info.compacted.is_none() && !info.is_compactable && info.last.0 < 70).len(),
        1
    );
    log.compact(&kept, 100..300);
    assert_eq!(log.writer.compacted_count(), 1, "without that one");
    assert!(matches!(log.read(kept[2], 100..300), Err(BodyError::Corrupt { .. })));
    let others: Vec<u64> = kept.iter().copied().filter(|lsn| *lsn != kept[2]).collect();
    log.assert_kept(&others, 100..300);
    log.restart().assert_kept(&others, 100..300);
}

#[test]
fn wherever_a_byte_of_a_compacted_file_is_flipped_nothing_wrong_is_read() {
    let mut log = Log::with_segments(12);
    let kept = one_of_each(10);
    log.compact(&kept, 100..300);
    let (original, from, path) = (log.storage.clone(), log.from, compacted(&log.storage).remove(0));
    drop(log);
    let bytes = original.open(&path).unwrap().len().unwrap();
    let mut refused = 0;
    for offset in
        (0..64).chain((4096..6096).step_by(50)).chain((8192..8400).step_by(7)).chain(bytes - 8..bytes)
    {
        let storage = fork(&original);
        flip(&storage, &path, offset);
        let survey = Survey::of(Arc::new(storage.clone()), &crate::support::log()).unwrap().unwrap();
        let flaw = survey.flaws.iter().find(|flaw| flaw.file == path).expect("the survey sees all");
        match Log::try_claim(storage.clone(), 2, from) {
            Err(ClaimError::Corrupt { file, .. }) => {
                assert_eq!((file, flaw.kind), (path.clone(), FlawKind::Compacted), "{offset}");
                refused += 1;
            }
            Err(other) => panic!("{offset}: {other}"),
            Ok(mut log) => {
                assert_eq!(flaw.kind, FlawKind::Entries, "{offset}");
                let mut wrong = Vec::new();
                for lsn in &kept {
                    match log.read(*lsn, 100..300) {
                        Ok(found) => assert_eq!(found, payload(*lsn, BODY_BYTES)[100..300]),
                        Err(BodyError::Corrupt { .. }) => wrong.push(Lsn(*lsn)..=Lsn(*lsn)),
                        Err(other) => panic!("{other}"),
                    }
                }
                assert_eq!(wrong, [flaw.entries.clone().unwrap()], "{offset}");
            }
        }
        let whole = kept.iter().filter(|lsn| survey.holds_part(Lsn(**lsn), 100..300)).count();
        assert!(whole < kept.len(), "{offset}");
        // And it can be put in order.
        assert!(survey.damaged_files().contains(&path));
        let (lsn, cursor) = survey.begin_anew(Lsn(0), options()).unwrap();
        let mut log = Log::claim(storage, 3, Some(cursor));
        assert_eq!(log.last, lsn.0);
        let survey = log.survey();
        let found = kept.iter().filter(|lsn| survey.holds_part(Lsn(**lsn), 100..300));
        assert_eq!(found.count(), whole, "{offset}");
        kept.iter().filter(|lsn| survey.holds_part(Lsn(**lsn), 100..300)).for_each(|lsn| {
            assert_eq!(log.read(*lsn, 100..300).unwrap(), payload(*lsn, BODY_BYTES)[100..300]);
        });
    }
    assert!(refused > 64, "{refused}");
}

#[test]
fn the_survey_tells_what_a_compacted_file_has() {
    let mut log = Log::with_segments(12);
    let kept = one_of_each(10);
    log.compact(&kept, 100..300);
    let survey = log.survey();
    let [finding] = &survey.compacted[..] else { panic!("{:?}", survey.compacted) };
    assert_eq!((finding.number, finding.entries, finding.payload_bytes), (1, 10, 2000));
    assert_eq!((finding.first.0, finding.last.0), (kept[0], kept[9]));
    assert_eq!(finding.sources.len(), 10);
    assert!(survey.flaws.iter().all(|flaw| flaw.kind == FlawKind::Gap), "{:?}", survey.flaws);
    assert!(survey.holds_part(Lsn(kept[0]), 120..300) && !survey.holds_part(Lsn(kept[0]), 120..301));
    assert!(!survey.holds(Lsn(kept[0])) && survey.holds_part(survey.last, 0..9));
}

#[test]
fn a_journal_with_threads_does_it_by_itself() {
    let storage = MemoryStorage::new();
    let journal = FileJournal::new(Arc::new(storage.clone()), options());
    let mut writer = journal.claim(&log(), journal::Epoch(1), None).unwrap().writer;
    (1..=12 * PER_SEGMENT).for_each(|lsn| writer.append(Lsn(lsn), payload(lsn, BODY_BYTES)));
    wait_until("durability", || writer.state().durable() == Some(Lsn(12 * PER_SEGMENT)));
    writer.trim(Lsn(10 * PER_SEGMENT + 1), &[Lsn(1)..=Lsn(u64::MAX)]);
    let sources =
        writer.segments().iter().filter(|info| info.is_compactable).map(SegmentInfo::name).collect();
    writer.compact(Compaction { sources, survivors: survivors(&one_of_each(10), 100..300) });
    wait_until("the compaction", || writer.compacted_count() == 1);
    wait_until("room", || segments(&storage).len() <= 3);
    drop((writer, journal));
    Log::claim(storage, 2, Some(Cursor::from_bytes(&cursor_of(10 * PER_SEGMENT)).unwrap()))
        .assert_kept(&one_of_each(10), 100..300);
}

/// The file engine's cursor behind an entry, as `docs/journal-format.md` has it.
fn cursor_of(lsn: u64) -> Vec<u8> {
    [&[1][..], &lsn.to_le_bytes()].concat()
}
