//! The survey sees what a claim sees, and more; and what it puts in order can be claimed.

use std::sync::Arc;

use journal::storage::{MemoryStorage, Storage};
use journal::{ClaimFinding, Epoch, FlawKind, Lsn, Survey};

use crate::support::*;

const BLOCK: u64 = 4096;
const ENTRIES: u64 = 20;

/// Entries of one block each, over three segments.
fn write_log() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    (1..=ENTRIES).for_each(|lsn| append_durably(&mut *claim.writer, lsn, 1000));
    drop((claim, journal));
    // What the writer has prepared in advance comes and goes.
    files(&storage, ".spare").iter().for_each(|path| storage.remove(path).unwrap());
    storage
}

fn survey(storage: &MemoryStorage) -> Survey {
    Survey::of(Arc::new(storage.clone()), &log()).unwrap().unwrap()
}

#[test]
fn a_sound_log_has_no_flaw() {
    let storage = write_log();
    let survey = survey(&storage);
    assert!(matches!(survey.claim, ClaimFinding::Whole { epoch: Epoch(1), durable: Lsn(0), .. }));
    assert!(survey.flaws.is_empty(), "{:?}", survey.flaws);
    let segments: Vec<(u64, u64, u64, u64)> = survey
        .segments
        .iter()
        .map(|segment| (segment.number, segment.first.0, segment.last.0, segment.entries))
        .collect();
    assert_eq!(segments, [(1, 1, 7, 7), (2, 8, 20, 13)]);
    assert_eq!(survey.last, Lsn(ENTRIES));
    let entries: Vec<_> = survey.entries(Lsn(5)).map(Result::unwrap).collect();
    assert_eq!(entries.len() as u64, ENTRIES - 5);
    entries.iter().for_each(|entry| assert_eq!(entry.bytes, payload(entry.lsn.0, 1000)));
}

#[test]
fn wherever_a_byte_is_flipped_the_survey_says_what_a_claim_says() {
    let storage = write_log();
    let cursor = try_claim(&file_journal(&fork(&storage)), 2, None).unwrap().writer.cursor(Lsn(10));
    let mut refused = 0;
    for path in segments(&storage).into_iter().chain(["log/CLAIM".to_owned()]) {
        let bytes = storage.open(&path).unwrap().len().unwrap();
        for offset in (0..bytes).step_by(509) {
            for from in [None, Some(cursor)] {
                let damaged = fork(&storage);
                flip(&damaged, &path, offset);
                let foreseen = survey(&damaged).foresee(from);
                let claimed = try_claim(&file_journal(&damaged), 2, from);
                match (foreseen, claimed) {
                    (Ok(foreseen), Ok(claimed)) => assert_eq!(foreseen.tail, claimed.tail, "{path} {offset}"),
                    (Err(foreseen), Err(claimed)) => {
                        assert_eq!(foreseen.to_string(), claimed.to_string());
                        refused += 1;
                    }
                    other => panic!("{path} {offset}: {other:?}"),
                }
            }
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn every_damaged_entry_is_named_and_all_others_are_read() {
    let storage = write_log();
    for (path, first, last) in [("log/0000000000000001.seg", 1, 7), ("log/0000000000000002.seg", 8, 20)] {
        for lsn in first..=last {
            let start = BLOCK + (lsn - first) * BLOCK;
            for at in [1, 30, 62, 64, 700] {
                let damaged = fork(&storage);
                flip(&damaged, path, start + at);
                let survey = survey(&damaged);
                let [flaw] = &survey.flaws[..] else {
                    // The last header: nothing tells that there ever was its entry.
                    assert!(lsn == ENTRIES && at < 64, "{lsn} {at}: {:?}", survey.flaws);
                    continue;
                };
                assert_eq!((flaw.kind, flaw.file.as_str(), flaw.offset), (FlawKind::Entries, path, start));
                assert_eq!(flaw.entries, Some(Lsn(lsn)..=Lsn(lsn)), "{lsn} {at}");
                let read: Vec<u64> = survey.entries(Lsn(0)).map(|entry| entry.unwrap().lsn.0).collect();
                assert_eq!(read, (1..=ENTRIES).filter(|other| *other != lsn).collect::<Vec<_>>());
                check_anew(&damaged, &survey, lsn);
            }
        }
    }
}

/// Begins the log anew, and reads every other entry by its number.
fn check_anew(storage: &MemoryStorage, survey: &Survey, lost: u64) {
    let (lsn, cursor) = survey.begin_anew(Lsn(0), small_segments()).unwrap();
    assert_eq!(lsn, Lsn(ENTRIES + 1));
    let journal = file_journal(storage);
    let mut claim = try_claim(&journal, 2, Some(cursor)).unwrap();
    assert_eq!((claim.tail, replay(&mut claim).len()), (lsn, 0));
    append_durably(&mut *claim.writer, lsn.0 + 1, 1000);
    for asked in (1..=ENTRIES).step_by(3) {
        claim.writer.read(asked, Lsn(asked), 0..1000);
        let mut done = Vec::new();
        wait_until("the read", || {
            claim.writer.completed_reads(&mut done);
            !done.is_empty()
        });
        let result = done.remove(0).result;
        match asked == lost {
            true => assert!(result.is_err()),
            false => assert_eq!(result.unwrap(), payload(asked, 1000), "{asked} without {lost}"),
        }
    }
}

#[test]
fn a_missing_segment_is_a_gap() {
    let storage = write_log();
    storage.remove("log/0000000000000001.seg").unwrap();
    // Nothing tells trimming from loss, so the beginning is no flaw.
    assert!(survey(&storage).flaws.is_empty());
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    (1..=60).for_each(|lsn| append_durably(&mut *claim.writer, lsn, 4000));
    drop((claim, journal));
    storage.remove("log/0000000000000002.seg").unwrap();
    let survey = survey(&storage);
    let [gap] = &survey.flaws[..] else { panic!("{:?}", survey.flaws) };
    assert_eq!((gap.kind, gap.file.as_str()), (FlawKind::Gap, "log/0000000000000002.seg"));
    assert_eq!(gap.entries, Some(Lsn(8)..=Lsn(22)));
}
