//! Failed writes and syncs.

use std::sync::Arc;

use journal::storage::MemoryStorage;
use journal::{LostReason, Lsn, State};

use crate::support::*;

fn lost(state: State) -> (Lsn, Lsn, Arc<LostReason>) {
    match state {
        State::Lost { durable, submitted, reason } => (durable, submitted, reason),
        other => panic!("not lost: {other:?}"),
    }
}

#[test]
fn a_failed_sync_poisons_and_is_never_tried_again() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    append_durably(&mut *claim.writer, 1, 100);
    wait_until_quiet(&storage);
    let syncs = storage.file_syncs();
    storage.fail_sync_after(0);
    claim.writer.append(Lsn(2), payload(2, 100));
    let (durable, submitted, reason) = lost(settle(&*claim.writer, 2));
    assert_eq!((durable, submitted), (Lsn(1), Lsn(2)));
    assert!(matches!(*reason, LostReason::StorageFailed { operation: "sync", .. }), "{reason}");
    assert!(reason.to_string().contains("restart"), "says what to do: {reason}");

    claim.writer.append(Lsn(3), payload(3, 100));
    claim.writer.trim(Lsn(2), &[]);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(storage.file_syncs(), syncs + 1, "the failed sync was the last");
    assert_eq!(lost(claim.writer.state()).0, Lsn(1));
    assert_eq!(lost(claim.writer.close()).0, Lsn(1));
}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_written_again() {
    for seed in 0..10 {
        let storage = MemoryStorage::new();
        let journal = file_journal(&storage);
        let mut claim = try_claim(&journal, 1, None).unwrap();
        append_durably(&mut *claim.writer, 1, 100);
        drop((claim, journal));
        let journal = file_journal(&storage);
        let mut claim = try_claim(&journal, 2, None).unwrap();
        storage.fail_sync_after(0);
        claim.writer.append(Lsn(2), payload(2, 5000));
        let end = settle(&*claim.writer, 2);
        if end.durable().is_some() {
            continue; // The spares thread was faster and took the failure.
        }
        drop((claim, journal));

        // The process starts again without a crash of the machine: entry 2 can be read, but is on no disk.
        let claim = try_claim(&file_journal(&storage), 3, None).unwrap();
        assert_eq!(claim.tail, Lsn(2));
        drop(claim);
        storage.crash(seed);
        assert_eq!(
            try_claim(&file_journal(&storage), 4, None).unwrap().tail,
            Lsn(2),
            "the claim made it durable"
        );
    }
}

#[test]
fn a_failed_write_poisons() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    append_durably(&mut *claim.writer, 1, 100);
    wait_until_quiet(&storage);
    storage.fail_write_after(0);
    claim.writer.append(Lsn(2), payload(2, 9000));
    let (durable, _, reason) = lost(settle(&*claim.writer, 2));
    assert_eq!(durable, Lsn(1));
    assert!(matches!(*reason, LostReason::StorageFailed { operation: "writing", .. }), "{reason}");
    drop((claim, journal));
    let mut claim = try_claim(&file_journal(&storage), 2, None).unwrap();
    assert_eq!(claim.tail, Lsn(1), "half of an entry is none");
    append_durably(&mut *claim.writer, 2, 100);
}
