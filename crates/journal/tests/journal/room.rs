//! A storage without room: nothing is lost, nothing that was not written is told durable, and it goes on by itself.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use journal::storage::{MemoryStorage, Storage};
use journal::{Claim, FileJournal, FileOptions, Journal, LostReason, Lsn, Pending, State, Step, Writer};

use crate::support::*;

const RESERVE_BYTES: u64 = 128 << 10;

fn with_reserve() -> FileOptions {
    FileOptions { reserve_bytes: RESERVE_BYTES, ..small_segments() }
}

fn journal(storage: &MemoryStorage) -> FileJournal {
    FileJournal::new(Arc::new(storage.clone()), with_reserve())
}

/// Waits until the journal's threads have done all that they can.
fn quiet(journal: &FileJournal, storage: &MemoryStorage) {
    wait_until("the spare files", || {
        let Pending { write, spares, .. } = journal.pending(&log());
        // What there is no room for stays where it is.
        !spares && (!write || journal.pending(&log()).is_short)
    });
    wait_until_quiet(storage);
}

/// A log with one entry, all spare files made.
fn started(storage: &MemoryStorage) -> (FileJournal, Claim) {
    let journal = journal(storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    append_durably(&mut *claim.writer, 1, 100);
    quiet(&journal, storage);
    (journal, claim)
}

/// Appends entries of 4000 bytes until no more become durable. The last that is durable, and the last.
fn fill(
    journal: &FileJournal,
    storage: &MemoryStorage,
    writer: &mut dyn Writer,
    mut last: u64,
) -> (u64, u64) {
    loop {
        last += 1;
        assert!(last < 2000, "it never fills");
        writer.append(Lsn(last), payload(last, 4000));
        if writer.room().total_bytes() > 0 {
            assert_eq!(settle(writer, last).durable(), Some(Lsn(last)), "what there is room for is written");
            continue;
        }
        quiet(journal, storage);
        let durable = writer.state().durable().expect("want of room is no loss");
        if durable.0 < last {
            return (durable.0, last);
        }
    }
}

#[test]
fn what_has_no_room_waits_for_it() {
    let storage = MemoryStorage::new();
    let (journal, mut claim) = started(&storage);
    storage.set_capacity(700 << 10);
    let (durable, last) = fill(&journal, &storage, &mut *claim.writer, 1);
    assert!(durable > 130, "only {durable} entries of 4 KB found room in 700 KB");
    storage.set_capacity(2 << 20);
    assert_eq!(settle(&*claim.writer, last).durable(), Some(Lsn(last)));
    append_durably(&mut *claim.writer, last + 1, 4000);
    drop((claim, journal));
    storage.crash(1);
    let mut claim = try_claim(&file_journal(&storage), 2, None).unwrap();
    assert_eq!(replay(&mut claim).len() as u64, last + 1);
}

#[test]
fn room_is_told_before_the_reserve_is_touched() {
    let storage = MemoryStorage::new();
    let (journal, mut claim) = started(&storage);
    assert!(claim.writer.room().further_bytes > 1 << 40, "nobody knows of a bound");
    let woken = Arc::new(AtomicU64::new(0));
    let counter = woken.clone();
    claim.writer.watch(Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    storage.set_capacity(700 << 10);
    let mut last = 1;
    while claim.writer.room().total_bytes() >= RESERVE_BYTES + 4096 {
        last += 1;
        append_durably(&mut *claim.writer, last, 4000);
        quiet(&journal, &storage);
    }
    let room = claim.writer.room();
    assert_eq!(room.further_bytes, 0);
    // All of it is there: each entry takes 4 KB, and each of the four files a header.
    let more = (RESERVE_BYTES / 4 - 4096) / 4096 * 4;
    for _ in 0..more {
        last += 1;
        append_durably(&mut *claim.writer, last, 4000);
    }
    assert!(claim.writer.room().sure_bytes < RESERVE_BYTES / 2);
    assert!(woken.load(Ordering::Relaxed) >= last - 1);
}

#[test]
fn what_is_trimmed_is_room_at_once_and_the_reserve_comes_back() {
    let storage = MemoryStorage::new();
    let (journal, mut claim) = started(&storage);
    storage.set_capacity(700 << 10);
    let (durable, last) = fill(&journal, &storage, &mut *claim.writer, 1);
    assert!(files(&storage, ".reserve").is_empty(), "all of it is used up");
    claim.writer.trim(Lsn(durable), &[]);
    assert_eq!(settle(&*claim.writer, last).durable(), Some(Lsn(last)));
    wait_until("the reserve", || claim.writer.room().total_bytes() > RESERVE_BYTES * 3 / 2);
    assert_eq!(files(&storage, ".reserve").len(), 4);
}

#[test]
fn what_could_not_be_made_whole_takes_no_room() {
    let storage = MemoryStorage::new();
    storage.set_capacity(500 << 10);
    let (journal, mut claim) = started(&storage);
    fill(&journal, &storage, &mut *claim.writer, 1);
    let free = storage.available_bytes().unwrap();
    assert!(free < 32 << 10, "{free} bytes are left, where a segment of 32 KB would do");
    let spares = files(&storage, ".spare");
    assert!(spares.is_empty(), "{spares:?}");
}

/// A start needs no room that is not there.
#[test]
fn a_full_disk_can_be_started_on() {
    for is_used_up in [false, true] {
        let storage = MemoryStorage::new();
        let (journal, mut claim) = started(&storage);
        storage.set_capacity(700 << 10);
        let mut last = 1;
        if is_used_up {
            last = fill(&journal, &storage, &mut *claim.writer, last).0;
        } else {
            while claim.writer.room().total_bytes() >= RESERVE_BYTES + 8192 {
                last += 1;
                append_durably(&mut *claim.writer, last, 4000);
                quiet(&journal, &storage);
            }
        }
        drop((claim, journal));
        storage.crash(3);
        // Not a byte is left.
        storage.set_capacity(storage.bytes() + if is_used_up { 64 } else { 0 });
        let journal = self::journal(&storage);
        let mut claim = try_claim(&journal, 2, None).unwrap();
        assert!(claim.tail >= Lsn(last));
        let next = claim.tail.0 + 1;
        assert_eq!(replay(&mut claim).len() as u64, next - 1);
        if !is_used_up {
            append_durably(&mut *claim.writer, next, 100);
        }
    }
}

#[test]
fn closing_on_a_full_disk_ends() {
    let storage = MemoryStorage::new();
    let (journal, mut claim) = started(&storage);
    storage.set_capacity(500 << 10);
    let (durable, last) = fill(&journal, &storage, &mut *claim.writer, 1);
    let State::Lost { durable: told, submitted, reason } = claim.writer.close() else {
        panic!("what was submitted is not durable, and never will be")
    };
    assert_eq!((told, submitted), (Lsn(durable), Lsn(last)));
    let LostReason::StorageFull { error, .. } = &*reason else { panic!("{reason}") };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(reason.to_string().contains("free some space"), "{reason}");
}

#[test]
fn an_entry_too_large_for_the_disk_waits_and_harms_nobody_before_it() {
    let storage = MemoryStorage::new();
    let (journal, mut claim) = started(&storage);
    storage.set_capacity(700 << 10);
    claim.writer.append(Lsn(2), payload(2, 1 << 20));
    claim.writer.append(Lsn(3), payload(3, 10));
    quiet(&journal, &storage);
    assert_eq!(claim.writer.state().durable(), Some(Lsn(1)));
    storage.set_capacity(4 << 20);
    assert_eq!(settle(&*claim.writer, 3).durable(), Some(Lsn(3)));
}

#[test]
fn without_threads_a_step_never_waits_for_room() {
    let storage = MemoryStorage::new();
    let journal = FileJournal::stepped(Arc::new(storage.clone()), with_reserve());
    let mut claim = journal.claim(&log(), journal::Epoch(1), None).unwrap();
    storage.set_capacity(300 << 10);
    let mut last = 0;
    loop {
        while journal.pending(&log()).spares {
            journal.step(&log(), Step::Spares);
        }
        last += 1;
        claim.writer.append(Lsn(last), payload(last, 4000));
        if !journal.step(&log(), Step::Write) {
            break;
        }
        assert!(journal.step(&log(), Step::Sync));
    }
    let pending = journal.pending(&log());
    assert!(pending.is_short && pending.write && !pending.spares, "{pending:?}");
    assert!(!journal.step(&log(), Step::Spares), "looking changes nothing while nothing is there");
    assert_eq!(claim.writer.state().durable(), Some(Lsn(last - 1)));

    storage.set_capacity(1 << 20);
    assert!(journal.step(&log(), Step::Spares));
    assert!(journal.step(&log(), Step::Write) && journal.step(&log(), Step::Sync));
    assert_eq!(claim.writer.state().durable(), Some(Lsn(last)));
}
