//! What the tests of the file engine share.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::storage::{MemoryStorage, Storage};
use journal::{
    Claim, ClaimError, Cursor, Entry, Epoch, FileJournal, FileOptions, Journal, LogName, Lsn, State, Writer,
};

/// Segments of 32 KB that grow to 128 KB, so that a test fills some quickly.
pub(crate) fn small_segments() -> FileOptions {
    FileOptions { segment_bytes_first: 32 << 10, segment_bytes_max: 128 << 10, ..FileOptions::new(0x5eed) }
}

pub(crate) fn file_journal(storage: &MemoryStorage) -> FileJournal {
    FileJournal::new(Arc::new(storage.clone()), small_segments())
}

pub(crate) fn log() -> LogName {
    LogName::new("log").unwrap()
}

pub(crate) fn try_claim(
    journal: &FileJournal,
    epoch: u64,
    from: Option<Cursor>,
) -> Result<Claim, ClaimError> {
    journal.claim(&log(), Epoch(epoch), from)
}

/// A payload of this size that tells which entry it is.
pub(crate) fn payload(lsn: u64, bytes: usize) -> Bytes {
    (0..bytes).map(|at| (at as u64 * 31 + lsn * 17 + 1) as u8).collect::<Vec<u8>>().into()
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain for: {what}");
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Waits until all up to `lsn` is durable or the log has ended.
pub(crate) fn settle(writer: &dyn Writer, lsn: u64) -> State {
    wait_until("durability or an end", || writer.state().durable().is_none_or(|durable| durable.0 >= lsn));
    writer.state()
}

/// Waits until the threads have prepared all that they can, so that the next operation on the disk is the
/// test's.
pub(crate) fn wait_until_quiet(storage: &MemoryStorage) {
    let mut operations = None;
    wait_until("quiet", || {
        std::thread::sleep(Duration::from_millis(10));
        operations.replace(storage.operations()) == Some(storage.operations())
    });
}

/// Appends one entry and waits until it is durable.
pub(crate) fn append_durably(writer: &mut dyn Writer, lsn: u64, bytes: usize) {
    writer.append(Lsn(lsn), payload(lsn, bytes));
    assert_eq!(settle(writer, lsn).durable(), Some(Lsn(lsn)));
}

pub(crate) fn replay(claim: &mut Claim) -> Vec<Entry> {
    std::iter::from_fn(|| claim.reader.next().unwrap()).collect()
}

/// A path in the log's folder: its segments in order.
pub(crate) fn segments(storage: &dyn Storage) -> Vec<String> {
    files(storage, ".seg")
}

pub(crate) fn files(storage: &dyn Storage, ending: &str) -> Vec<String> {
    let names = storage.list("log").unwrap().into_iter().filter(|name| name.ends_with(ending));
    names.map(|name| format!("log/{name}")).collect()
}

/// Changes one bit of a file.
pub(crate) fn flip(storage: &MemoryStorage, path: &str, offset: u64) {
    let file = storage.open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&mut [IoSlice::new(&[byte[0] ^ 0x10])], offset).unwrap();
}

/// A copy of the log's files on a disk of its own.
pub(crate) fn fork(storage: &MemoryStorage) -> MemoryStorage {
    let copy = MemoryStorage::new();
    copy.create_directory("log").unwrap();
    for path in files(storage, "") {
        journal::storage::copy(storage, &path, &copy, &path).unwrap();
    }
    copy
}
