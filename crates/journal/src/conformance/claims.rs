//! Who owns a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::harness::*;
use crate::{ClaimError, Cursor, DestroyError, Epoch, LogName, Lsn, State};

pub(super) fn a_later_claim_fences<S: Subject>() {
    let subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    append_durably(&mut *first.writer, 1..=3);
    let is_woken = Arc::new(AtomicBool::new(false));
    let flag = is_woken.clone();
    first.writer.watch(Arc::new(move || flag.store(true, Ordering::SeqCst)));
    append(&mut *first.writer, 4..=100);
    let told = first.writer.state().durable().unwrap_or_default();

    let mut second = claim(&subject, 2, None);
    assert!(second.tail >= told, "what was told durable is below the tail");
    assert!(matches!(first.writer.state(), State::Fenced { by: Epoch(2) }));
    wait_until("the wake of the fenced", || is_woken.load(Ordering::SeqCst));
    append(&mut *first.writer, 101..=110);

    let tail = second.tail.0;
    check_replay(&mut second, 1..=tail);
    append_durably(&mut *second.writer, tail + 1..=tail + 5);
    drop(first);
    append_durably(&mut *second.writer, tail + 6..=tail + 9);
    check_replay(&mut claim(&subject, 3, None), 1..=tail + 9);
}

pub(super) fn a_lower_epoch_is_superseded<S: Subject>() {
    let mut subject = S::fresh();
    let mut first = claim(&subject, 7, None);
    let refused = |subject: &S| subject.journal().claim(&log(), Epoch(6), None);
    assert!(matches!(refused(&subject), Err(ClaimError::Superseded { by: Epoch(7), epoch: Epoch(6) })));
    append_durably(&mut *first.writer, 1..=3);
    drop(first);
    subject.restart();
    assert!(matches!(refused(&subject), Err(ClaimError::Superseded { .. })), "the epoch is durable");
}

pub(super) fn the_same_epoch_may_claim_again<S: Subject>() {
    let mut subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    assert_eq!(first.epoch_before, Epoch(0), "nobody had it");
    append_durably(&mut *first.writer, 1..=3);
    let mut second = claim(&subject, 1, None);
    assert!(matches!(first.writer.state(), State::Fenced { by: Epoch(1) }));
    assert_eq!(second.epoch_before, Epoch(1), "told, so that it can do better");
    check_replay(&mut second, 1..=3);
    append_durably(&mut *second.writer, 4..=4);
    drop((first, second));
    subject.restart();
    assert_eq!(claim(&subject, 5, None).epoch_before, Epoch(1), "as durable as the claim");
}

pub(super) fn logs_do_not_mix<S: Subject>() {
    let mut subject = S::fresh();
    let other = LogName::escaped("/").expect("a short name");
    let mut first = claim(&subject, 1, None);
    let mut second = subject.journal().claim(&other, Epoch(9), None).expect("the claim is granted");
    append(&mut *first.writer, 1..=5);
    append_durably(&mut *second.writer, 1..=7);
    wait_durable(&*first.writer, 5);
    drop((first, second));
    subject.restart();
    check_replay(&mut claim(&subject, 2, None), 1..=5);
    let mut second = subject.journal().claim(&other, Epoch(9), None).expect("the claim is granted");
    check_replay(&mut second, 1..=7);
}

pub(super) fn a_foreign_cursor_is_refused<S: Subject>() {
    let subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    let foreign = Cursor::from_bytes(&[0xee; 40]).expect("40 bytes are allowed");
    let refused = subject.journal().claim(&log(), Epoch(2), Some(foreign));
    assert!(matches!(refused, Err(ClaimError::ForeignCursor)));
    append_durably(&mut *first.writer, 1..=1);
}

pub(super) fn a_cursor_above_the_tail_is_refused<S: Subject>() {
    let subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    append_durably(&mut *first.writer, 1..=5);
    let cursor = first.writer.cursor(Lsn(5));
    drop(first);
    subject.journal().destroy(&log(), Epoch(1)).expect("its owner may");
    append_durably(&mut *claim(&subject, 2, None).writer, 1..=3);
    let refused = subject.journal().claim(&log(), Epoch(3), Some(cursor));
    assert!(matches!(refused, Err(ClaimError::Corrupt { lsn: Lsn(4), .. })), "{refused:?}");
}

pub(super) fn a_destroyed_log_starts_again<S: Subject>() {
    let mut subject = S::fresh();
    let mut first = claim(&subject, 5, None);
    append_durably(&mut *first.writer, 1..=30);
    let refused = subject.journal().destroy(&log(), Epoch(4));
    assert!(matches!(refused, Err(DestroyError::Superseded { by: Epoch(5), epoch: Epoch(4) })));
    assert_eq!(first.writer.state().durable(), Some(Lsn(30)));

    subject.journal().destroy(&log(), Epoch(5)).expect("its owner may");
    assert!(matches!(first.writer.state(), State::Fenced { .. }));
    subject
        .journal()
        .destroy(&LogName::new("never-made").expect("a plain name"), Epoch(1))
        .expect("no error");
    drop(first);
    subject.restart();
    let mut again = claim(&subject, 6, None);
    assert_eq!(replay(&mut again), []);
    append_durably(&mut *again.writer, 1..=2);
}
