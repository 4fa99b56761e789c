//! Reading single entries back.

use super::harness::*;
use crate::{BodyError, Lsn};

pub(super) fn any_part_in_any_order<S: Subject>() {
    let subject = S::fresh();
    let mut claim = claim(&subject, 1, None);
    append_durably(&mut *claim.writer, 1..=100);
    let parts: Vec<(u64, u64, u64)> = (1..=100)
        .rev()
        .flat_map(|lsn| {
            let bytes = payload(lsn).len() as u64;
            [(lsn, 0, bytes), (lsn, 3, 7), (lsn, bytes, bytes)]
        })
        .collect();
    for (ticket, &(lsn, start, end)) in parts.iter().enumerate() {
        claim.writer.read(ticket as u64, Lsn(lsn), start..end);
    }
    let answers = answers(&mut *claim.writer, parts.len());
    for (answer, &(lsn, start, end)) in answers.into_iter().zip(&parts) {
        let bytes = answer.result.expect("the entry is there");
        assert_eq!(bytes, payload(lsn).slice(start as usize..end as usize));
    }
}

pub(super) fn mistaken_reads_are_answered<S: Subject>() {
    let subject = S::fresh();
    let mut claim = claim(&subject, 1, None);
    append_durably(&mut *claim.writer, 1..=2);
    let bytes = payload(2).len() as u64;
    claim.writer.read(0, Lsn(3), 0..1);
    claim.writer.read(1, Lsn(2), 0..bytes + 1);
    claim.writer.read(2, Lsn(0), 0..1);
    let reversed = std::ops::Range { start: 5, end: 4 };
    claim.writer.read(3, Lsn(2), reversed);
    let answers: Vec<_> = answers(&mut *claim.writer, 4).into_iter().map(|answer| answer.result).collect();
    assert!(matches!(answers[0], Err(BodyError::NotDurable { lsn: Lsn(3), durable: Lsn(2) })));
    assert!(matches!(answers[1], Err(BodyError::OutOfRange { entry_bytes, .. }) if entry_bytes == bytes));
    assert!(matches!(answers[2], Err(BodyError::Trimmed { lsn: Lsn(0) })));
    assert!(matches!(answers[3], Err(BodyError::OutOfRange { .. })));
}

pub(super) fn entries_of_earlier_claims<S: Subject>() {
    let mut subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    let last = fill_segments(&mut *first.writer, 0, 3);
    let cursor = first.writer.cursor(Lsn(last));
    drop(first);
    subject.restart();
    // With the cursor at the end, most segments are not looked through by the claim.
    let mut second = claim(&subject, 2, Some(cursor));
    for lsn in (1..=last).rev() {
        assert_eq!(read_whole(&mut *second.writer, lsn).expect("the entry is there"), payload(lsn));
    }
}
