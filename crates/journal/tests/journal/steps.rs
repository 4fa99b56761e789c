//! The file engine without threads: what happens between two steps, and nothing besides.

use std::sync::Arc;

use journal::storage::MemoryStorage;
use journal::{FileJournal, Lsn, Pending, State, Step};

use crate::support::{log, payload, replay, small_segments, try_claim};

fn stepped(storage: &MemoryStorage) -> FileJournal {
    FileJournal::stepped(Arc::new(storage.clone()), small_segments())
}

#[test]
fn an_entry_is_durable_after_its_write_and_its_sync() {
    let journal = stepped(&MemoryStorage::new());
    let mut writer = try_claim(&journal, 1, None).unwrap().writer;
    let is_durable = |writer: &dyn journal::Writer, lsn| writer.state().durable() == Some(Lsn(lsn));
    assert!(!journal.step(&log(), Step::Write) && !journal.step(&log(), Step::Sync), "nothing was appended");

    writer.append(Lsn(1), payload(1, 100));
    assert!(journal.step(&log(), Step::Write) && is_durable(&*writer, 0));
    writer.append(Lsn(2), payload(2, 100));
    assert!(!journal.step(&log(), Step::Write), "one write at a time");
    assert!(journal.step(&log(), Step::Sync) && is_durable(&*writer, 1), "the sync serves what was written");
    assert!(journal.step(&log(), Step::Write) && journal.step(&log(), Step::Sync) && is_durable(&*writer, 2));

    writer.append(Lsn(3), payload(3, 100));
    assert!(writer.append_lone(Lsn(4), payload(4, 100)).is_none(), "nobody's thread is wanted");
    assert!(matches!(writer.close(), State::Durable(Lsn(4))), "closing commits what is left");
    assert_eq!(replay(&mut try_claim(&journal, 2, None).unwrap()).len(), 4);
}

#[test]
fn what_was_written_and_not_synced_may_be_lost() {
    let survivors = |seed| {
        let storage = MemoryStorage::new();
        let journal = stepped(&storage);
        let mut writer = try_claim(&journal, 1, None).unwrap().writer;
        writer.append(Lsn(1), payload(1, 100));
        journal.step(&log(), Step::Write);
        storage.crash(seed);
        try_claim(&stepped(&storage), 2, None).unwrap().tail.0
    };
    let found: Vec<u64> = (0..20).map(survivors).collect();
    assert!(found.contains(&0) && found.contains(&1), "{found:?}");
}

#[test]
fn reads_are_answered_in_the_order_that_is_asked_for() {
    let journal = stepped(&MemoryStorage::new());
    let mut writer = try_claim(&journal, 1, None).unwrap().writer;
    (1..=3).for_each(|lsn| writer.append(Lsn(lsn), payload(lsn, 100)));
    while journal.step(&log(), Step::Write)
        || journal.step(&log(), Step::Sync)
        || journal.step(&log(), Step::Spares)
    {}
    (1..=3).for_each(|lsn| writer.read(lsn, Lsn(lsn), 0..100));
    assert_eq!(journal.pending(&log()), Pending { reads: 3, ..Pending::default() });
    let mut done = Vec::new();
    for nth in [2, 3, 0] {
        assert!(journal.step(&log(), Step::Read(nth)));
        writer.completed_reads(&mut done);
    }
    assert_eq!(done.iter().map(|done| done.ticket).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(done.iter().all(|done| *done.result.as_ref().unwrap() == payload(done.ticket, 100)));
    assert!(!journal.step(&log(), Step::Read(0)));
}
