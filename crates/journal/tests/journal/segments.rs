//! Segments: growth, recycling, entries larger than one.

use std::sync::Arc;

use bytes::Bytes;
use journal::storage::{DirectoryStorage, MemoryStorage};
use journal::{FileJournal, FileOptions, Journal, Lsn, Step, Writer};

use crate::support::*;

#[test]
fn segments_double_up_to_the_most() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    for lsn in 1..=100 {
        append_durably(&mut *claim.writer, lsn, 4000);
    }
    let sizes: Vec<u64> = claim.writer.segments().iter().map(|segment| segment.bytes >> 10).collect();
    assert_eq!(sizes, [32, 64, 128, 128, 128]);
    assert_eq!(claim.writer.sealed_count(), 4);
}

#[test]
fn recycled_segments_show_nothing_of_their_past() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    // Equal sizes: stale headers lie exactly where new ones are looked for.
    for lsn in 1..=400 {
        append_durably(&mut *claim.writer, lsn, 4000);
        if lsn % 50 == 0 && lsn < 380 {
            claim.writer.trim(Lsn(lsn), &[]);
            wait_until("a recycled segment", || lsn < 150 || !files(&storage, ".spare").is_empty());
        }
    }
    let cursor = claim.writer.cursor(Lsn(400 - 20));
    let active = segments(&storage).pop().unwrap();
    drop((claim, journal));
    let file = journal::storage::Storage::open(&storage, &active).unwrap();
    let mut last_block = [0; 4];
    file.read_exact_at(&mut last_block, file.len().unwrap() - 4096).unwrap();
    assert_eq!(&last_block, b"fbjE", "the active segment is a recycled one, full of stale entries");

    let mut claim = try_claim(&file_journal(&storage), 2, Some(cursor)).unwrap();
    assert_eq!(claim.tail, Lsn(400));
    assert_eq!(replay(&mut claim).len(), 20);
}

#[test]
fn a_power_cut_at_any_step_of_recycling_is_no_damage() {
    let mut seed = 0;
    // The roll onto a recycled segment comes after about 55 operations; each step has several outcomes.
    for step in (0..50).step_by(7).chain((50..70).flat_map(|step| [step; 5])).chain((70..120).step_by(7)) {
        seed += 1;
        let storage = MemoryStorage::new();
        let journal = file_journal(&storage);
        let mut claim = try_claim(&journal, 1, None).unwrap();
        for lsn in 1..=90 {
            append_durably(&mut *claim.writer, lsn, 4000);
        }
        let cursor = claim.writer.cursor(Lsn(90));
        wait_until_quiet(&storage);
        storage.cut_power_after(step);
        claim.writer.trim(Lsn(91), &[]);
        let (mut last, mut durable) = (90, Lsn(90));
        while let Some(lsn) = claim.writer.state().durable().filter(|_| last < 200) {
            durable = lsn;
            last += 1;
            claim.writer.append(Lsn(last), payload(last, 4000));
            settle(&*claim.writer, last);
        }
        drop((claim, journal));
        storage.crash(seed);
        let claim = try_claim(&file_journal(&storage), 2, Some(cursor));
        let tail = claim.unwrap_or_else(|error| panic!("power cut at step {step}: {error}")).tail;
        assert!(tail >= durable, "power cut at step {step}: {durable} was durable, {tail} is there");
    }
}

#[test]
fn spare_files_are_bounded() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    for lsn in 1..=500 {
        append_durably(&mut *claim.writer, lsn, 4000);
    }
    claim.writer.trim(Lsn(500), &[]);
    let kept = claim.writer.segments().len();
    wait_until("the trim", || segments(&storage).len() == kept);
    // What is not kept is a spare file for a moment.
    wait_until_quiet(&storage);
    assert!((1..=5).contains(&files(&storage, ".spare").len()));
}

#[test]
fn a_log_that_rests_keeps_one_spare_file() {
    let storage = MemoryStorage::new();
    let journal = FileJournal::stepped(Arc::new(storage.clone()), small_segments());
    let mut writer = try_claim(&journal, 1, None).unwrap().writer;
    let append = |writer: &mut Box<dyn Writer>, lsn| {
        writer.append(Lsn(lsn), payload(lsn, 4000));
        assert!(journal.step(&log(), Step::Write) && journal.step(&log(), Step::Sync));
        while journal.pending(&log()).spares {
            journal.step(&log(), Step::Spares);
        }
    };
    (1..=500).for_each(|lsn| append(&mut writer, lsn));
    let work = || {
        while journal.pending(&log()).spares {
            journal.step(&log(), Step::Spares);
        }
    };
    writer.trim(Lsn(500), &[]);
    work();
    let spares = || files(&storage, ".spare").len();
    let kept = spares();
    assert!(kept > 1);
    // It looks every few seconds.
    for _ in 0..5 {
        assert!(!journal.step(&log(), Step::Spares));
        assert_eq!(spares(), kept);
    }
    assert!(!journal.step(&log(), Step::Spares));
    work();
    assert_eq!(spares(), 1);
    assert!(!journal.pending(&log()).spares, "that is enough");
    (501..=700).for_each(|lsn| append(&mut writer, lsn));
    assert_eq!(writer.state().durable(), Some(Lsn(700)));
}

/// A file that was made for a small segment was left over by an entry that does not fit into one. It counted as a spare, so no
/// trimmed segment was kept, and every new one had to be made.
#[test]
fn a_small_file_left_over_does_not_keep_segments_from_being_written_again() {
    let storage = MemoryStorage::new();
    let options = FileOptions { spare_segments_max: 1, ..small_segments() };
    let journal = FileJournal::stepped(Arc::new(storage.clone()), options);
    let mut writer = try_claim(&journal, 1, None).unwrap().writer;
    let spares = || while journal.step(&log(), Step::Spares) {};
    spares();
    let mut made = 0;
    for lsn in 1..=1000 {
        writer.append(Lsn(lsn), payload(lsn, if lsn == 1 { 60_000 } else { 4000 }));
        assert!(journal.step(&log(), Step::Write) && journal.step(&log(), Step::Sync));
        writer.trim(Lsn(lsn), &[]);
        spares();
        if lsn == 200 {
            made = storage.files_made();
        }
    }
    assert!(writer.sealed_count() > 20);
    assert_eq!(storage.files_made(), made, "the log needs no new files any more");
}

#[test]
fn an_entry_larger_than_a_segment_gets_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let open = || FileJournal::new(Arc::new(DirectoryStorage::new(folder.path())), FileOptions::new(1));
    let large: Bytes = (0..80 << 20).map(|at: u32| (at >> 3) as u8).collect::<Vec<u8>>().into();
    let journal = open();
    let mut claim = journal.claim(&log(), journal::Epoch(1), None).unwrap();
    claim.writer.append(Lsn(1), payload(1, 10));
    claim.writer.append(Lsn(2), large.clone());
    claim.writer.append(Lsn(3), payload(3, 10));
    assert_eq!(claim.writer.close().durable(), Some(Lsn(3)));

    let journal = open();
    let mut claim = try_claim(&journal, 2, None).unwrap();
    let sizes: Vec<u64> = claim.writer.segments().iter().map(|segment| segment.bytes).collect();
    assert_eq!(sizes[0], 1 << 20);
    assert_eq!(sizes[1], (80 << 20) + 2 * 4096);
    let entries = replay(&mut claim);
    assert_eq!(entries.len(), 3);
    assert!(entries[1].bytes == large);
    claim.writer.read(0, Lsn(2), 70 << 20..(70 << 20) + 100);
    let mut done = Vec::new();
    wait_until("the read", || {
        claim.writer.completed_reads(&mut done);
        !done.is_empty()
    });
    assert_eq!(done[0].result.as_ref().unwrap(), &large.slice(70 << 20..(70 << 20) + 100));
}

#[cfg(target_os = "linux")]
#[test]
fn a_freed_segment_that_was_read_from_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions { spare_segments_max: 0, ..small_segments() };
    let journal = FileJournal::new(Arc::new(DirectoryStorage::new(folder.path())), options);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    let mut read = Vec::new();
    for lsn in 1..=100 {
        append_durably(&mut *claim.writer, lsn, 4000);
        claim.writer.read(lsn, Lsn(lsn), 0..10);
        wait_until("a read", || {
            claim.writer.completed_reads(&mut read);
            read.len() as u64 == lsn
        });
    }
    claim.writer.trim(Lsn(100), &[]);
    let storage = DirectoryStorage::new(folder.path());
    wait_until("removed segments", || segments(&storage).len() == 1);
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let open: Vec<_> = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).collect();
    let path = folder.path().to_string_lossy().into_owned();
    let is_lingering = |file: &String| file.starts_with(&path) && file.ends_with("(deleted)");
    let lingering: Vec<String> =
        open.iter().map(|file| file.to_string_lossy().into_owned()).filter(is_lingering).collect();
    assert_eq!(lingering, [""; 0], "an open file keeps its space");
}
