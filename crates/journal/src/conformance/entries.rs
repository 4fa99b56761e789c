//! Appending, durability, replay.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::harness::*;
use crate::{Epoch, InFlight, Lsn, State, Writer};

pub(super) fn an_empty_log_has_no_tail<S: Subject>() {
    let mut subject = S::fresh();
    for epoch in 1..=2 {
        let mut claim = claim(&subject, epoch, None);
        assert_eq!(claim.tail, Lsn::ZERO);
        assert_eq!(replay(&mut claim), []);
        assert_eq!(claim.writer.state().durable(), Some(Lsn::ZERO));
        assert_eq!(claim.writer.segments(), []);
        drop(claim);
        subject.restart();
    }
}

pub(super) fn what_was_durable_is_replayed<S: Subject>() {
    let mut subject = S::fresh();
    append_durably(&mut *claim(&subject, 1, None).writer, 1..=40);
    subject.restart();
    let mut second = claim(&subject, 2, None);
    append_durably(&mut *second.writer, 41..=50);
    check_replay(&mut second, 1..=40);
    drop(second);
    subject.restart();

    let mut third = claim(&subject, 3, None);
    assert_eq!(third.writer.state().durable(), Some(Lsn(50)));
    let entries = replay(&mut third);
    let epochs = entries.iter().map(|entry| entry.epoch.0);
    assert!(
        epochs.eq((1..=50).map(|lsn| if lsn <= 40 { 1 } else { 2 })),
        "each has the epoch it was written in"
    );
    check_replay(&mut claim(&subject, 4, None), 1..=50);
}

pub(super) fn replay_starts_behind_the_cursor<S: Subject>() {
    let mut subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    append_durably(&mut *first.writer, 1..=30);
    let of_writer = first.writer.cursor(Lsn(12));
    drop(first);
    subject.restart();

    let mut second = claim(&subject, 2, Some(of_writer));
    let entries = replay(&mut second);
    assert!(entries.iter().map(|entry| entry.lsn.0).eq(13..=30));
    check_replay(&mut claim(&subject, 3, Some(entries[7].cursor)), 21..=30);
    let of_tail = entries[17].cursor;
    let mut last = claim(&subject, 4, Some(of_tail));
    assert_eq!(replay(&mut last), []);
    append_durably(&mut *last.writer, 31..=31);
    check_replay(&mut claim(&subject, 5, Some(of_tail)), 31..=31);
}

pub(super) fn sizes_from_empty_to_large<S: Subject>() {
    let mut subject = S::fresh();
    let sizes = [0, 1, 4031, 4032, 4033, 8127, 8128, 8129, 3_000_000, 5, 70_000, 70_000];
    let body = |at: usize| Bytes::from(vec![at as u8 + 1; sizes[at]]);
    let mut first = claim(&subject, 1, None);
    for at in 0..sizes.len() {
        first.writer.append(Lsn(at as u64 + 1), body(at));
    }
    wait_durable(&*first.writer, sizes.len() as u64);
    drop(first);
    subject.restart();
    let entries = replay(&mut claim(&subject, 2, None));
    assert_eq!(entries.len(), sizes.len());
    entries.iter().enumerate().for_each(|(at, entry)| assert_eq!(entry.bytes, body(at)));
}

pub(super) fn wakes_follow_progress_and_may_append<S: Subject>() {
    const LAST: u64 = 20;
    let subject = S::fresh();
    let writer = Arc::new(Mutex::new(claim(&subject, 1, None).writer));
    let seen = Arc::new(AtomicU64::new(0));
    let (weak, heard) = (Arc::downgrade(&writer), seen.clone());
    // Each wake appends the next entry from within: a ping-pong without any other thread.
    let wake = move || {
        let Some(writer) = weak.upgrade() else { return };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(durable) = writer.state().durable() else { return };
        let before = heard.swap(durable.0, Ordering::SeqCst);
        if durable.0 > before && durable.0 < LAST {
            writer.append(durable.next(), payload(durable.next().0));
        }
    };
    let locked = || writer.lock().unwrap_or_else(PoisonError::into_inner);
    locked().watch(Arc::new(wake));
    locked().append(Lsn(1), payload(1));
    wait_until("the last wake", || seen.load(Ordering::SeqCst) == LAST);
}

pub(super) fn nothing_stays_in_flight<S: Subject>() {
    let subject = S::fresh();
    let mut claim = claim(&subject, 1, None);
    append_durably(&mut *claim.writer, 1..=100);
    wait_until("an empty flight", || claim.writer.in_flight() == InFlight::default());
}

pub(super) fn closing_waits_for_all<S: Subject>() {
    let mut subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    append(&mut *first.writer, 1..=60);
    assert_eq!(first.writer.close().durable(), Some(Lsn(60)));
    subject.restart();
    check_replay(&mut claim(&subject, 2, None), 1..=60);
}

pub(super) fn dropping_a_writer_loses_nothing_durable<S: Subject>() {
    let mut subject = S::fresh();
    let mut first = claim(&subject, 1, None);
    append_durably(&mut *first.writer, 1..=5);
    append(&mut *first.writer, 6..=30);
    drop(first);
    subject.restart();
    let mut second = claim(&subject, 2, None);
    let tail = second.tail.0;
    assert!((5..=30).contains(&tail));
    check_replay(&mut second, 1..=tail);
}

pub(super) fn a_gap_in_the_numbers_is_refused<S: Subject>() {
    let subject = S::fresh();
    let mut claim = claim(&subject, 1, None);
    append_durably(&mut *claim.writer, 1..=1);
    let gap = |writer: &mut dyn Writer| catch_unwind(AssertUnwindSafe(|| append(writer, 3..=3))).is_err();
    assert!(gap(&mut *claim.writer), "entry 3 cannot follow entry 1");
    append_durably(&mut *claim.writer, 2..=2);
    assert!(matches!(claim.writer.state(), State::Durable(Lsn(2))));
    assert_eq!(replay(&mut claim), []);
    assert_eq!(super::harness::claim(&subject, 2, None).tail, Lsn(2));
    assert!(matches!(claim.writer.state(), State::Fenced { by: Epoch(2) }));
}
