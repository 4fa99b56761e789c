//! Freeing space.

use super::harness::*;
use crate::{BodyError, Claim, ClaimError, Epoch, Lsn, SegmentInfo};

fn numbers(segments: &[SegmentInfo]) -> Vec<u64> {
    segments.iter().map(|segment| segment.number).collect()
}

/// A log with at least five segments, all but the last sealed.
fn filled<S: Subject>(subject: &S) -> (Claim, Vec<SegmentInfo>, u64) {
    let mut claim = claim(subject, 1, None);
    let last = fill_segments(&mut *claim.writer, 0, 4) + 1;
    append_durably(&mut *claim.writer, last..=last);
    let segments = claim.writer.segments();
    assert!(segments.len() >= 5);
    (claim, segments, last)
}

pub(super) fn trimming_frees_whole_segments<S: Subject>() {
    let subject = S::fresh();
    let (mut claim, segments, last) = filled(&subject);
    assert_eq!(segments[0].first, Lsn(1));
    assert_eq!(segments[segments.len() - 1].last, Lsn(last));
    assert!(segments.windows(2).all(|pair| pair[0].last.next() == pair[1].first), "they cover the log");
    assert!(segments.windows(2).all(|pair| pair[0].sealed && pair[0].number < pair[1].number));

    claim.writer.trim(segments[1].last, &[]);
    assert_eq!(numbers(&claim.writer.segments()), numbers(&segments[1..]), "one entry short of the second");
    claim.writer.trim(segments[1].last.next(), &[]);
    claim.writer.trim(segments[1].last.next(), &[]);
    claim.writer.trim(Lsn(2), &[]);
    assert_eq!(numbers(&claim.writer.segments()), numbers(&segments[2..]));
    claim.writer.trim(Lsn(last + 1), &[]);
    let left = claim.writer.segments();
    assert_eq!(left[left.len() - 1].last, Lsn(last), "the end of the log is never freed");
    let more = fill_segments(&mut *claim.writer, last, 3);
    check_replay(
        &mut super::harness::claim(&subject, 2, Some(claim.writer.cursor(Lsn(last)))),
        last + 1..=more,
    );
}

pub(super) fn kept_entries_stay_readable<S: Subject>() {
    let mut subject = S::fresh();
    let (mut first, segments, last) = filled(&subject);
    let kept = segments[1].last;
    first.writer.trim(segments[3].last.next(), &[kept..=kept]);
    let expected: Vec<u64> = numbers(&segments)
        .into_iter()
        .enumerate()
        .filter(|(at, _)| ![0, 2, 3].contains(at))
        .map(|(_, number)| number)
        .collect();
    assert_eq!(numbers(&first.writer.segments()), expected);
    assert_eq!(read_whole(&mut *first.writer, kept.0).expect("it is kept"), payload(kept.0));
    let freed = segments[2].first.0;
    assert!(matches!(read_whole(&mut *first.writer, freed), Err(BodyError::Trimmed { .. })));
    let cursor = first.writer.cursor(Lsn(last));
    // The next claim finds the folder as the trim leaves it, once that has happened in the background.
    assert_eq!(first.writer.close().durable(), Some(Lsn(last)));
    subject.restart();

    let mut second = claim(&subject, 2, Some(cursor));
    assert_eq!(replay(&mut second), []);
    assert_eq!(read_whole(&mut *second.writer, kept.0).expect("it is kept"), payload(kept.0));
    append_durably(&mut *second.writer, last + 1..=last + 3);
    assert_eq!(read_whole(&mut *second.writer, last + 2).expect("it is new"), payload(last + 2));
}

pub(super) fn replay_of_a_trimmed_log<S: Subject>() {
    let subject = S::fresh();
    let (mut first, segments, last) = filled(&subject);
    let start = segments[2].first;
    first.writer.trim(start, &[]);
    let cursor = first.writer.cursor(start.previous());
    wait_until("the trim", || {
        // Trimming is lazy: a claim may find what was there, and then it has to be asked for again.
        match subject.journal().claim(&log(), Epoch(1), None) {
            Err(ClaimError::Trimmed { from: Lsn(1), first }) => first == start,
            Err(other) => panic!("not trimmed: {other}"),
            Ok(mut again) => {
                again.writer.trim(start, &[]);
                std::thread::sleep(std::time::Duration::from_millis(5));
                false
            }
        }
    });
    check_replay(&mut claim(&subject, 2, Some(cursor)), start.0..=last);
}
