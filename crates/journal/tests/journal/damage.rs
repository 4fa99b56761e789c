//! Torn tails are cut, damage is refused.

use std::io::IoSlice;
use std::sync::Arc;

use journal::storage::{MemoryStorage, Storage};
use journal::{ClaimError, Cursor, Epoch, FileJournal, FileOptions, Journal, Lsn};

use crate::support::*;

const SECTOR: u64 = 512;
const BLOCK: u64 = 4096;

/// A log of `count` entries of one to three blocks, each synced on its own; gives their offsets.
fn write_log(storage: &MemoryStorage, count: u64) -> Vec<u64> {
    let journal = FileJournal::new(
        Arc::new(storage.clone()),
        FileOptions { segment_bytes_first: 256 << 10, ..small_segments() },
    );
    let mut claim = try_claim(&journal, 1, None).unwrap();
    let mut offset = BLOCK;
    let mut offsets = Vec::new();
    for lsn in 1..=count {
        append_durably(&mut *claim.writer, lsn, entry_bytes(lsn));
        offsets.push(offset);
        offset += (64 + entry_bytes(lsn) as u64).next_multiple_of(BLOCK);
    }
    offsets.push(offset);
    offsets
}

fn entry_bytes(lsn: u64) -> usize {
    [100, 5000, 9000][lsn as usize % 3]
}

fn overwrite(storage: &MemoryStorage, path: &str, bytes: &[u8], offset: u64) {
    storage.open(path).unwrap().write_all_at(&mut [IoSlice::new(bytes)], offset).unwrap();
}

fn read(storage: &MemoryStorage, path: &str, bytes: u64, offset: u64) -> Vec<u8> {
    let mut buffer = vec![0; bytes as usize];
    storage.open(path).unwrap().read_exact_at(&mut buffer, offset).unwrap();
    buffer
}

/// Claims, and checks that the log is exactly the first `tail` entries and goes on from there.
fn check_tail(storage: &MemoryStorage, tail: u64) {
    for (epoch, tail) in [(2, tail), (3, tail + 1)] {
        let journal = file_journal(storage);
        let mut claim = try_claim(&journal, epoch, None).unwrap();
        assert_eq!(claim.tail, Lsn(tail));
        let entries = replay(&mut claim);
        assert_eq!(entries.len() as u64, tail);
        entries
            .iter()
            .for_each(|entry| assert_eq!(entry.bytes, payload(entry.lsn.0, entry_bytes(entry.lsn.0))));
        append_durably(&mut *claim.writer, tail + 1, entry_bytes(tail + 1));
    }
}

#[test]
fn the_last_entry_may_be_torn_at_any_sector() {
    let storage = MemoryStorage::new();
    let offsets = write_log(&storage, 7);
    let path = segments(&storage).remove(0);
    let (start, end) = (offsets[5], offsets[7]);
    let whole = read(&storage, &path, end - start, start);
    let content = |lsn: usize| 64 + entry_bytes(lsn as u64) as u64;
    // From here on the last two entries were never confirmed: only entry 5 is known to be durable, from entry
    // 6.
    for cut in (start..=end).step_by(SECTOR as usize) {
        let mut torn = whole.clone();
        torn[(cut - start) as usize..].fill(0);
        overwrite(&storage, &path, &torn, start);
        let fork = fork(&storage);
        let survivors =
            5 + [6, 7].iter().filter(|&&lsn| cut >= offsets[lsn - 1] + content(lsn)).count() as u64;
        check_tail(&fork, survivors);
    }
}

#[test]
fn a_segment_whose_first_entry_was_torn_is_not_left_empty_between_others() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    for lsn in 1..=8 {
        append_durably(&mut *claim.writer, lsn, 4000);
    }
    drop((claim, journal));
    let paths = segments(&storage);
    assert_eq!(paths.len(), 2, "entry 8 is the first of the second segment");
    overwrite(&storage, &paths[1], &[0xff], BLOCK + 100);

    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 2, None).unwrap();
    assert_eq!(claim.tail, Lsn(7));
    // Too large for the rest of any segment there is.
    append_durably(&mut *claim.writer, 8, 200_000);
    append_durably(&mut *claim.writer, 9, 10);
    let cursor = claim.writer.cursor(Lsn(7));
    drop((claim, journal));
    assert_eq!(replay(&mut try_claim(&file_journal(&storage), 3, None).unwrap()).len(), 9);
    assert_eq!(replay(&mut try_claim(&file_journal(&storage), 4, Some(cursor)).unwrap()).len(), 2);
}

#[test]
fn a_torn_tail_never_comes_back() {
    let storage = MemoryStorage::new();
    let offsets = write_log(&storage, 4);
    let path = segments(&storage).remove(0);
    let fourth = read(&storage, &path, offsets[4] - offsets[3], offsets[3]);
    // Entry 4 lies behind a torn entry 3; both go.
    let third = read(&storage, &path, SECTOR, offsets[2]);
    overwrite(&storage, &path, &[0; SECTOR as usize], offsets[2]);
    overwrite(&storage, &path, &with_durable(&fourth, 2), offsets[3]);
    drop(try_claim(&file_journal(&storage), 2, None).unwrap());
    overwrite(&storage, &path, &third, offsets[2]);
    // Had entry 4 survived, it would now follow entry 3 again.
    let claim = try_claim(&file_journal(&storage), 3, None).unwrap();
    assert_eq!(claim.tail, Lsn(3));
}

/// The entry as it would be if less had been known to be durable when it was written.
fn with_durable(entry: &[u8], durable: u64) -> Vec<u8> {
    let mut entry = entry.to_vec();
    entry[40..48].copy_from_slice(&durable.to_le_bytes());
    let crc = crc32c::crc32c(&entry[..60]);
    entry[60..64].copy_from_slice(&crc.to_le_bytes());
    entry
}

#[test]
fn damage_of_a_durable_entry_is_refused_wherever_it_is() {
    let storage = MemoryStorage::new();
    let offsets = write_log(&storage, 7);
    let path = segments(&storage).remove(0);
    // Entry 7's header says that 6 was durable; of 7 itself nothing is known.
    for lsn in 1..=6 {
        let content = 64 + entry_bytes(lsn) as u64;
        for at in (0..content).step_by(509) {
            let offset = offsets[lsn as usize - 1] + at;
            let before = read(&storage, &path, 1, offset);
            overwrite(&storage, &path, &[before[0] ^ 0x10], offset);
            check_refusal(&storage, &path, offsets[lsn as usize - 1], lsn);
            overwrite(&storage, &path, &before, offset);
        }
    }
    check_tail(&storage, 7);
}

fn check_refusal(storage: &MemoryStorage, path: &str, at: u64, damaged: u64) {
    match try_claim(&file_journal(storage), 2, None) {
        Err(ClaimError::Corrupt { file, offset, lsn, .. }) => {
            assert_eq!((file.as_str(), offset, lsn), (path, at, Lsn(damaged)));
        }
        other => panic!("damage of entry {damaged} was not refused: {other:?}"),
    }
}

#[test]
fn no_part_of_a_damaged_entry_is_handed_out() {
    let storage = MemoryStorage::new();
    let offsets = write_log(&storage, 7);
    let path = segments(&storage).remove(0);
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 2, None).unwrap();
    overwrite(&storage, &path, &[0xff], offsets[1] + 64 + 8000);
    let parts =
        [(1, 0..10, true), (2, 0..10, false), (2, 8000..8001, false), (2, 0..9000, false), (3, 50..60, true)];
    for (ticket, (lsn, range, is_whole)) in parts.into_iter().enumerate() {
        claim.writer.read(ticket as u64, Lsn(lsn), range.clone());
        let mut done = Vec::new();
        wait_until("the read", || {
            claim.writer.completed_reads(&mut done);
            !done.is_empty()
        });
        match done.remove(0).result {
            Ok(bytes) => {
                assert!(is_whole, "{lsn} {range:?}");
                assert_eq!(
                    bytes,
                    payload(lsn, entry_bytes(lsn)).slice(range.start as usize..range.end as usize)
                );
            }
            Err(error) => {
                assert!(
                    !is_whole && error.to_string().contains("checksum of the payload"),
                    "{lsn} {range:?}: {error}"
                );
            }
        }
    }
}

#[test]
fn the_refusal_names_the_place_and_the_remedy() {
    let storage = MemoryStorage::new();
    let offsets = write_log(&storage, 3);
    let path = segments(&storage).remove(0);
    overwrite(&storage, &path, &[0xff], offsets[1] + 70);
    let refusal = try_claim(&file_journal(&storage), 2, None).unwrap_err().to_string();
    for part in ["entry 2", "0000000000000001.seg", &format!("byte {}", offsets[1]), "docs/journal-format.md"]
    {
        assert!(refusal.contains(part), "{part} in: {refusal}");
    }
}

#[test]
fn after_a_clean_end_even_the_last_entry_cannot_be_torn() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    claim.writer.append(Lsn(1), payload(1, 100));
    assert_eq!(claim.writer.close().durable(), Some(Lsn(1)));
    let path = segments(&storage).remove(0);
    overwrite(&storage, &path, &[0xff], BLOCK + 70);
    check_refusal(&storage, &path, BLOCK, 1);
}

#[test]
fn an_entry_with_another_past_does_not_follow() {
    let (ours, other) = (MemoryStorage::new(), MemoryStorage::new());
    let offsets = write_log(&ours, 2);
    // The same log with another first entry, as after a cut that was forgotten: its second entry is whole in
    // itself.
    let journal = file_journal(&other);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    append_durably(&mut *claim.writer, 1, entry_bytes(1) - 1);
    append_durably(&mut *claim.writer, 2, entry_bytes(2));
    drop((claim, journal));
    let path = segments(&ours).remove(0);
    let second = read(&other, &path, offsets[2] - offsets[1], offsets[1]);
    overwrite(&ours, &path, &with_durable(&second, 0), offsets[1]);
    // Judged as a torn tail, since nothing says that entry 2 was durable.
    assert_eq!(try_claim(&file_journal(&ours), 2, None).unwrap().tail, Lsn(1));
}

#[test]
fn a_damaged_segment_header_is_refused() {
    let storage = MemoryStorage::new();
    write_log(&storage, 3);
    let path = segments(&storage).remove(0);
    overwrite(&storage, &path, &[0xff], 20);
    check_refusal(&storage, &path, 0, 0);
}

/// Seven entries of one block in the first segment, and as many as fit in the ones behind it.
fn write_segments(storage: &MemoryStorage, count: u64) -> Vec<String> {
    let journal = file_journal(storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    (1..=count).for_each(|lsn| append_durably(&mut *claim.writer, lsn, 4000));
    drop((claim, journal));
    segments(storage)
}

#[test]
fn an_entry_with_another_past_is_not_replayed_in_place_of_the_one_in_the_next_segment() {
    let (ours, other) = (MemoryStorage::new(), MemoryStorage::new());
    for (storage, sizes) in [(&ours, [100, 40_000]), (&other, [101, 102])] {
        let journal = file_journal(storage);
        let mut claim = try_claim(&journal, 1, None).unwrap();
        (1..).zip(sizes).for_each(|(lsn, bytes)| append_durably(&mut *claim.writer, lsn, bytes));
    }
    // In our log the second entry did not fit behind the first.
    let stray = read(&other, &segments(&other)[0], BLOCK, 2 * BLOCK);
    overwrite(&ours, &segments(&ours)[0], &stray, 2 * BLOCK);
    let entries = replay(&mut try_claim(&file_journal(&ours), 2, None).unwrap());
    assert!(entries[1].bytes == payload(2, 40_000), "{} bytes", entries[1].bytes.len());
}

#[test]
fn a_checkpoint_whose_segment_is_missing_is_refused_though_nothing_follows_it() {
    let storage = MemoryStorage::new();
    let paths = write_segments(&storage, 8);
    // Entry 8 was torn, so there is nothing to replay; but whatever else the first segment held is gone.
    overwrite(&storage, &paths[1], &[0xff], BLOCK + 100);
    storage.remove(&paths[0]).unwrap();
    let cursor = Cursor::from_bytes(&[&[1][..], &7u64.to_le_bytes()].concat()).unwrap();
    let refusal = try_claim(&file_journal(&storage), 2, Some(cursor)).unwrap_err();
    let is_found =
        matches!(refusal, ClaimError::Corrupt { ref file, offset: BLOCK, .. } if *file == paths[1]);
    assert!(is_found, "{refusal:?}");
}

#[test]
fn a_damaged_first_entry_of_a_segment_is_looked_for_in_that_segment() {
    let storage = MemoryStorage::new();
    let paths = write_segments(&storage, 30);
    for at in [0, 30, 70] {
        let before = read(&storage, &paths[1], 1, BLOCK + at);
        overwrite(&storage, &paths[1], &[before[0] ^ 1], BLOCK + at);
        check_refusal(&storage, &paths[1], BLOCK, 8);
        overwrite(&storage, &paths[1], &before, BLOCK + at);
    }
    // Nothing is wrong with the segment behind the last entry of this one.
    overwrite(&storage, &paths[0], &[0; SECTOR as usize], 7 * BLOCK);
    check_refusal(&storage, &paths[0], 7 * BLOCK, 7);
}

#[test]
fn a_damaged_checkpointed_entry_is_looked_for_in_its_segment_too() {
    let storage = MemoryStorage::new();
    let paths = write_segments(&storage, 8);
    // That entry 8 was durable is known by the checkpoint alone.
    overwrite(&storage, &paths[1], &[0; SECTOR as usize], BLOCK);
    let cursor = Cursor::from_bytes(&[&[1][..], &8u64.to_le_bytes()].concat()).unwrap();
    let refusal = try_claim(&file_journal(&storage), 2, Some(cursor)).unwrap_err();
    let is_found =
        matches!(refusal, ClaimError::Corrupt { ref file, offset: BLOCK, .. } if *file == paths[1]);
    assert!(is_found, "{refusal:?}");
}

#[test]
fn a_damaged_entry_behind_the_cursor_is_damage_and_no_gap_of_trimming() {
    let storage = MemoryStorage::new();
    let paths = write_segments(&storage, 30);
    overwrite(&storage, &paths[0], &[0; SECTOR as usize], BLOCK);
    check_refusal(&storage, &paths[0], BLOCK, 1);
}

#[test]
fn what_stands_behind_the_last_entry_of_a_segment_means_nothing_to_the_reader_either() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    // The second entry does not fit behind the first, and starts the next segment.
    append_durably(&mut *claim.writer, 1, 100);
    append_durably(&mut *claim.writer, 2, 40_000);
    drop((claim, journal));
    let path = segments(&storage).remove(0);
    let header = read(&storage, &path, SECTOR, BLOCK);
    overwrite(&storage, &path, &header, 2 * BLOCK);
    assert_eq!(replay(&mut try_claim(&file_journal(&storage), 2, None).unwrap()).len(), 2);
}

#[test]
fn a_missing_claim_record_is_named() {
    let storage = MemoryStorage::new();
    write_segments(&storage, 3);
    storage.remove("log/CLAIM").unwrap();
    check_refusal(&storage, "log/CLAIM", 0, 0);
}

#[test]
fn missing_segments_are_missed_in_the_folder() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    claim.writer.append(Lsn(1), payload(1, 100));
    claim.writer.close();
    storage.remove(&segments(&storage)[0]).unwrap();
    check_refusal(&storage, "log", 0, 1);
}

#[test]
fn a_cursor_beyond_all_numbers_is_refused() {
    let storage = MemoryStorage::new();
    let paths = write_segments(&storage, 3);
    let cursor = Cursor::from_bytes(&[&[1][..], &u64::MAX.to_le_bytes()].concat()).unwrap();
    let refusal = try_claim(&file_journal(&storage), 2, Some(cursor)).unwrap_err();
    assert!(matches!(refusal, ClaimError::Corrupt { ref file, .. } if *file == paths[0]), "{refusal:?}");
}

#[test]
fn a_missing_segment_is_refused() {
    let storage = MemoryStorage::new();
    let journal = file_journal(&storage);
    let mut claim = try_claim(&journal, 1, None).unwrap();
    for lsn in 1..=60 {
        append_durably(&mut *claim.writer, lsn, 4000);
    }
    drop((claim, journal));
    let paths = segments(&storage);
    storage.remove(&paths[1]).unwrap();
    let refusal = try_claim(&file_journal(&storage), 2, None).unwrap_err();
    assert!(
        matches!(refusal, ClaimError::Corrupt { ref file, lsn: Lsn(8), .. } if *file == paths[0]),
        "{refusal:?}"
    );
}

#[test]
fn a_damaged_claim_record_is_refused() {
    let storage = MemoryStorage::new();
    write_log(&storage, 1);
    overwrite(&storage, "log/CLAIM", &[0xff], 12);
    check_refusal(&storage, "log/CLAIM", 0, 0);
}

#[test]
fn a_payload_cannot_pass_for_an_entry() {
    let storage = MemoryStorage::new();
    let offsets = write_log(&storage, 2);
    let path = segments(&storage).remove(0);
    // A peer that knows the format but not the log's id publishes a block that says: 1000 is durable.
    let mut forged = with_durable(&read(&storage, &path, BLOCK, offsets[1]), 1000);
    forged[8..16].fill(0x42);
    forged[24..32].copy_from_slice(&2000u64.to_le_bytes());
    let forged = with_durable(&forged, 1000);
    let body = [vec![0; BLOCK as usize - 64], forged].concat();
    let journal = file_journal(&storage);
    let mut claim = journal.claim(&log(), Epoch(2), None).unwrap();
    claim.writer.append(Lsn(3), body.into());
    settle(&*claim.writer, 3);
    drop((claim, journal));
    overwrite(&storage, &path, &[0; SECTOR as usize], offsets[2]);
    assert_eq!(try_claim(&file_journal(&storage), 3, None).unwrap().tail, Lsn(2));
}
