//! Any journal, damaged in any way, and then claimed: it goes on with all that is there, or it is refused with the place.
//!
//! Bytes say what happens to a log (`script`) and to its files afterwards (`edit`). What the claim has to find is worked out
//! from the two images by reading docs/journal-format.md once more (`verdict`), and by nothing of the engine's code.
//!
//! Nothing here is random: a test draws random bytes, the fuzz target `journal_recovery` better ones.

mod edit;
mod image;
mod script;
mod verdict;

use std::sync::Arc;

use journal::storage::MemoryStorage;
use journal::{Claim, ClaimError, Cursor, Epoch, FileJournal, FileOptions, Journal, LogName, Lsn, Step};

use self::edit::Edit;
use self::image::Image;
use self::script::{Script, Written};
use self::verdict::Verdict;
use crate::choices::Choices;

/// Above the epochs of all claims of a script.
const EPOCH: u64 = 1000;

/// Writes a log, damages it, and claims it, all as these bytes say.
pub(crate) fn check_bytes(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let written = Script::run(&mut choices);
    let original = Image::of(&written.storage);
    let mut edited = original.clone();
    let mut edits = Vec::new();
    while !choices.is_empty() && edits.len() < 6 {
        edits.push(Edit::decode(&mut choices, &edited, &written));
        edits[edits.len() - 1].apply(&mut edited);
    }
    // Where every checksum is right and a number is a lie, all that can be asked for is that nobody panics.
    if edits.iter().any(Edit::is_forgery) {
        let storage = edited.to_storage();
        let journal = stepped(&storage);
        for from in [written.from, Lsn(u64::MAX)] {
            if let Ok(mut claim) = journal.claim(&log(), Epoch(u64::MAX), behind(from)) {
                while let Ok(Some(_)) = claim.reader.next() {}
            }
        }
        return;
    }
    check(&written, &original, &edited);
}

fn check(written: &Written, original: &Image, edited: &Image) {
    let verdict = Verdict::of(original, edited, written.from);
    let storage = edited.to_storage();
    let journal = stepped(&storage);
    match journal.claim(&log(), Epoch(EPOCH), behind(written.from)) {
        Ok(mut claim) => {
            verdict.check_tail(claim.tail.0);
            check_entries(&mut claim, written);
            go_on(written, &storage, &journal, claim);
        }
        Err(error) => {
            assert!(!verdict.has_to_start, "refused, though nothing that counts was touched: {error}");
            check_refusal(&verdict, edited, &error);
            assert_eq!(Image::of(&storage), *edited, "a refused claim changes nothing");
        }
    }
}

/// What is replayed is what was appended, byte for byte and without a gap.
fn check_entries(claim: &mut Claim, written: &Written) {
    for lsn in written.from.0 + 1..=claim.tail.0 {
        let entry =
            claim.reader.next().expect("what was claimed can be read").expect("an entry up to the tail");
        assert_eq!(entry.lsn, Lsn(lsn));
        assert_eq!(entry.bytes, written.payloads[lsn as usize - 1], "entry {lsn}");
    }
    assert_eq!(claim.reader.next().expect("the end can be read"), None);
}

/// The log takes more entries, and they are there when it is claimed once more.
fn go_on(written: &Written, storage: &MemoryStorage, journal: &FileJournal, mut claim: Claim) {
    let mut payloads = written.payloads.clone();
    payloads.truncate(claim.tail.0 as usize);
    for bytes in [10, 5000, 20_000] {
        payloads.push(script::payload(payloads.len() as u64 + 7_000_000, bytes));
        claim.writer.append(Lsn(payloads.len() as u64), payloads[payloads.len() - 1].clone());
        settle(journal);
        while journal.step(&log(), Step::Spares) {}
    }
    let tail = payloads.len() as u64;
    assert_eq!(claim.writer.state().durable(), Some(Lsn(tail)));
    drop(claim);
    let written = Written { payloads, storage: storage.clone(), from: written.from };
    let again = stepped(storage).claim(&log(), Epoch(EPOCH + 1), behind(written.from));
    let mut again = again.expect("what was cut off once does not come back");
    assert_eq!(again.tail, Lsn(tail));
    check_entries(&mut again, &written);
}

fn check_refusal(verdict: &Verdict, edited: &Image, error: &ClaimError) {
    match error {
        ClaimError::Corrupt { file, offset, detail, .. } => {
            // Where nothing can tell which of two files it was, the detail names the other one.
            let is_named = |path: &String| path == file || detail.contains(path);
            assert!(verdict.touched.iter().any(is_named), "{error}, but {:?} were touched", verdict.touched);
            let bytes = edited.files.get(file).map_or(0, Vec::len) as u64;
            assert!(*offset <= bytes, "{error}, but it has {bytes} bytes");
        }
        ClaimError::Trimmed { .. } => {
            assert!(verdict.is_segment_missing, "{error}, but every segment is there");
        }
        other => panic!("nothing that was done to the files leads to {other:?}"),
    }
}

/// Writes and syncs all that was submitted.
fn settle(journal: &FileJournal) {
    while journal.step(&log(), Step::Write) | journal.step(&log(), Step::Sync) {}
}

/// A journal without threads, with segments of 8 to 32 KB. Each has another seed, as after each start.
fn stepped(storage: &MemoryStorage) -> FileJournal {
    let options = FileOptions {
        segment_bytes_first: 8 << 10,
        segment_bytes_max: 32 << 10,
        spare_segments_max: 2,
        ..FileOptions::new(storage.operations())
    };
    FileJournal::stepped(Arc::new(storage.clone()), options)
}

fn log() -> LogName {
    LogName::new("log").expect("a name")
}

/// The cursor behind an entry, as the file engine makes it.
fn behind(lsn: Lsn) -> Option<Cursor> {
    let bytes = [&[1][..], &lsn.0.to_le_bytes()].concat();
    (lsn > Lsn::ZERO).then(|| Cursor::from_bytes(&bytes).expect("short enough"))
}
