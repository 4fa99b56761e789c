//! Rows of tables that stay on disk, in the rows of seals.

use broker::{Broker, Found, Lookup, Lsn, Output, Settings, TableKind, Timestamp};
use bytes::Bytes;

use crate::rows::Rows;

/// A broker with rows in all tables, and what its seals gave out.
fn sealed() -> (Broker, Rows) {
    let (mut broker, mut rows) = (Broker::new(Settings::default()), Rows::default());
    for kind in TableKind::ALL {
        let table = broker.table(kind);
        [b"one", b"two", b"six"].into_iter().for_each(|key| table.put(key, b"early"));
    }
    rows.lay_over(&broker.seal());
    for kind in TableKind::ALL {
        let table = broker.table(kind);
        table.put(b"two", b"late");
        table.put(b"new", b"late");
        table.remove(b"six");
    }
    rows.lay_over(&broker.seal());
    (broker, rows)
}

#[test]
fn they_come_back_as_they_were() {
    let (mut broker, rows) = sealed();
    let view = broker.durable_view();
    assert_eq!(view.tables.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), TableKind::ALL);
    assert_eq!(rows.restored(Settings::default()).durable_view(), view);
    assert_eq!(Rows::all_of(&mut broker), rows);
    assert_eq!(broker.durable_view(), view);
}

#[test]
fn laid_over_what_the_journal_says_the_newer_stays() {
    let (broker, rows) = sealed();
    let salvaged = || {
        let mut salvaged = Broker::new(Settings::default());
        let table = salvaged.table(TableKind::Groups);
        table.put(b"one", b"other");
        table.put(b"seven", b"other");
        salvaged
    };
    let mut over = salvaged();
    rows.put_over(&mut over, false);
    assert_eq!(over.durable_view(), broker.durable_view());
    let mut over = salvaged();
    rows.put_over(&mut over, true);
    let one = over.table(TableKind::Groups).get(b"one", &mut Vec::new());
    assert_eq!(one, Lookup::Known(Some(Bytes::from_static(b"other"))), "a newer row may be lost");
}

#[test]
fn memory_that_is_short_is_taken_from_them_as_well() {
    let (mut broker, _) = sealed();
    let before = broker.state_bytes();
    broker.evict(2, before / 2);
    assert_eq!(broker.state_bytes(), before, "no run has them");
    broker.written(2);
    broker.evict(2, before - 1);
    assert!((1..before * 7 / 8).contains(&broker.state_bytes()), "{} of {before}", broker.state_bytes());
    broker.evict(2, 0);
    assert_eq!(broker.state_bytes(), 0);
    assert!(!broker.take_left().is_empty(), "they are freed elsewhere");
    assert!(broker.take_left().is_empty());
}

#[test]
fn what_was_asked_leaves_memory_before_more_comes_than_it_has_room_for() {
    let mut broker = Broker::new(Settings::default());
    broker.leave_tables_on_disk();
    let mut out = Output::new(Lsn(1));
    for number in 0..1000u32 {
        broker.evict_answers(20_000);
        let key = number.to_be_bytes();
        assert_eq!(broker.table(TableKind::Groups).get(&key, &mut out.wants), Lookup::Cold);
        let want = out.wants.pop().unwrap();
        broker.loaded(Timestamp(1), &want, 0, Found::Row(None), &mut out).unwrap();
        let found = broker.table(TableKind::Groups).get(&key, &mut out.wants);
        assert_eq!(found, Lookup::Known(None), "who has waited finds it");
        assert!(broker.state_bytes() <= 20_200);
    }
}
