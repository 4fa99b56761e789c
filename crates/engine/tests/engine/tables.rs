//! Tables whose rows are mostly on disk: what is put in comes back, whatever is in memory, in which run it is, and how late it is read.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use broker::{Lookup, Rest, TableKind, Want, Window};
use bytes::Bytes;
use engine::doctor::{DataFiles, make_aside, repair};
use engine::{Engine, Health, LoadJob, Settings};
use journal::FileOptions;
use journal::storage::{Storage, StorageFile};

use crate::bench::{Bench, ack, body, declare, get, log, publish};

const KEYS: TableKind = TableKind::Deduplication;
const TIMES: TableKind = TableKind::Times;

fn key(number: usize) -> Vec<u8> {
    (number as u32).to_be_bytes().to_vec()
}

fn value(number: usize) -> Bytes {
    Bytes::from(format!("value {number}"))
}

fn started() -> (Bench, u64) {
    let mut bench = Bench::with(Settings { state_bytes: 1, ..Settings::default() });
    let one = bench.connect();
    bench.ask(one, [declare("q", true)]);
    bench.settle();
    (bench, one)
}

fn put(bench: &mut Bench, table: TableKind, numbers: impl IntoIterator<Item = usize>) {
    bench.engine.with_table(table, |table, _| {
        numbers.into_iter().for_each(|number| table.put(&key(number), &value(number)));
    });
}

fn remove(bench: &mut Bench, table: TableKind, numbers: impl IntoIterator<Item = usize>) {
    bench
        .engine
        .with_table(table, |table, _| numbers.into_iter().for_each(|number| table.remove(&key(number))));
}

fn ask(engine: &mut Engine, table: TableKind, number: usize) -> Lookup {
    engine.with_table(table, |table, wants| table.get(&key(number), wants))
}

/// Looks a row up, and reads what is not in memory.
fn find(bench: &mut Bench, table: TableKind, number: usize) -> Option<Bytes> {
    loop {
        match ask(&mut bench.engine, table, number) {
            Lookup::Known(value) => return value,
            Lookup::Cold => assert!(bench.load(), "somebody was asked for it"),
        }
    }
}

/// Reads a range to its end, so many rows at a time.
fn find_range(bench: &mut Bench, table: TableKind, limit: usize) -> Vec<(Vec<u8>, Bytes)> {
    let mut found: Vec<(Vec<u8>, Bytes)> = Vec::new();
    loop {
        let from = found.last().map_or_else(Vec::new, |(key, _)| [&key[..], &[0]].concat());
        let Window { rows, rest } =
            bench.engine.with_table(table, |table, wants| table.range(&from, None, limit, wants));
        found.extend(rows);
        match rest {
            Rest::Nothing => return found,
            Rest::More => {}
            Rest::Cold => drop(bench.load()),
        }
    }
}

/// Fills segments until another checkpoint is written.
fn flush(bench: &mut Bench, connection: u64) {
    let before = bench.engine.counts().checkpoints;
    while bench.engine.counts().checkpoints < before + 2 {
        bench.ask(connection, [publish("q", body(1, 10))]);
        bench.settle();
    }
}

fn runs(bench: &Bench) -> Vec<String> {
    let files = bench.storage.list("checkpoints/vhost").unwrap();
    files.into_iter().filter(|file| file.starts_with("rows-")).collect()
}

/// Lets checkpoints come until none of these runs is left.
fn replace(bench: &mut Bench, before: &[String]) {
    let mut number = 0;
    while runs(bench).iter().any(|file| before.contains(file)) {
        let two = bench.connect();
        bench.ask(two, [publish("q", body(number, 10)), get("q"), ack(1, false)]);
        bench.settle();
        number += 1;
        assert!(number < 500, "{before:?}, and now {:?}", runs(bench));
    }
}

fn table_bytes(bench: &mut Bench, table: TableKind) -> u64 {
    bench.engine.with_table(table, |table, _| table.bytes())
}

#[test]
fn rows_leave_memory_with_a_checkpoint_and_are_found_by_key_and_in_order() {
    let (mut bench, one) = started();
    for table in [KEYS, TIMES] {
        put(&mut bench, table, (0..3000).map(|number| number * 2));
    }
    flush(&mut bench, one);
    assert!(table_bytes(&mut bench, KEYS) < 1000);
    for number in [0, 2, 3001, 2998, 5998, 6000] {
        let expected = (number % 2 == 0 && number < 6000).then(|| value(number));
        assert_eq!(find(&mut bench, KEYS, number), expected, "{number}");
    }
    let expected: Vec<_> = (0..3000).map(|number| (key(number * 2), value(number * 2))).collect();
    assert_eq!(find_range(&mut bench, TIMES, 700), expected);
}

#[test]
fn a_start_leaves_rows_on_disk_and_what_was_taken_away_stays_away() {
    let (mut bench, one) = started();
    put(&mut bench, KEYS, 0..2000);
    flush(&mut bench, one);
    remove(&mut bench, KEYS, 500..600);
    put(&mut bench, KEYS, 590..595);
    flush(&mut bench, one);
    bench.crash(0);
    assert_eq!(table_bytes(&mut bench, KEYS), 0);
    let is_there = |number: &usize| !(500..600).contains(number) || (590..595).contains(number);
    for number in [0, 499, 500, 589, 590, 594, 595, 600, 1999, 2000] {
        let expected = (is_there(&number) && number < 2000).then(|| value(number));
        assert_eq!(find(&mut bench, KEYS, number), expected, "{number}");
    }
    let before = runs(&bench);
    replace(&mut bench, &before);
    bench.restart();
    let expected: Vec<_> = (0..2000).filter(is_there).map(|number| (key(number), value(number))).collect();
    assert_eq!(find_range(&mut bench, KEYS, 1 << 20), expected);
}

/// A job that was asked for before a row was written, and is done after the row has left memory.
fn late(read: impl FnOnce(LoadJob) -> LoadJob) -> (Bench, LoadJob) {
    let (mut bench, one) = started();
    put(&mut bench, KEYS, [1]);
    flush(&mut bench, one);
    bench.crash(0);
    let one = bench.connect();
    bench.holds_loads = true;
    assert_eq!(ask(&mut bench.engine, KEYS, 7), Lookup::Cold);
    let job = read(bench.engine.take_load_job().unwrap());
    put(&mut bench, KEYS, [7]);
    flush(&mut bench, one);
    bench.engine.evict_all();
    (bench, job)
}

#[test]
fn an_answer_that_is_too_old_is_asked_for_again() {
    let (mut bench, job) = late(|job| job);
    let done = job.run();
    bench.engine.load_done(bench.now, done);
    assert_eq!(ask(&mut bench.engine, KEYS, 7), Lookup::Cold, "it was not there when that was read");
    assert_eq!(find(&mut bench, KEYS, 7), Some(value(7)));
    assert_eq!(bench.engine.take_load_job().map(|_| ()), None);
}

#[test]
fn what_was_merged_meanwhile_is_looked_for_again() {
    let (mut bench, job) = late(|job| job);
    let before = runs(&bench);
    replace(&mut bench, &before);
    let done = job.run();
    bench.engine.load_done(bench.now, done);
    assert_eq!(find(&mut bench, KEYS, 7), Some(value(7)));
    assert_eq!(find(&mut bench, KEYS, 1), Some(value(1)));
    assert_eq!(bench.engine.health(), Health::Serving);
}

#[test]
fn equal_wants_are_asked_for_once() {
    let (mut bench, one) = started();
    put(&mut bench, KEYS, [1]);
    flush(&mut bench, one);
    bench.crash(0);
    let wants = bench.engine.with_table(KEYS, |table, wants| {
        (0..3).for_each(|_| assert_eq!(table.get(&key(1), wants), Lookup::Cold));
        wants.clone()
    });
    assert_eq!(wants, [Want::Row { table: KEYS, key: key(1) }]);
}

/// Flips a byte of the first row of a table, in all runs that have it.
fn damage(bench: &Bench, row: &[u8]) {
    for run in runs(bench) {
        let file = bench.storage.open(&format!("checkpoints/vhost/{run}")).unwrap();
        if let Some(at) = position(&*file, row) {
            file.write_all_at(&mut [IoSlice::new(b"?")], at as u64).unwrap();
        }
    }
}

fn position(file: &dyn StorageFile, bytes: &[u8]) -> Option<usize> {
    let mut content = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut content, 0).unwrap();
    content.windows(bytes.len()).position(|window| window == bytes)
}

#[test]
fn damage_of_a_row_is_named_when_it_is_read_and_not_before() {
    let (mut bench, one) = started();
    put(&mut bench, KEYS, 0..2000);
    flush(&mut bench, one);
    damage(&bench, b"value 77");
    bench.crash(0);
    assert_eq!(find(&mut bench, KEYS, 1500), Some(value(1500)));
    assert_eq!(ask(&mut bench.engine, KEYS, 77), Lookup::Cold);
    bench.load();
    let Health::Failed { reason } = bench.engine.health() else { panic!("it is damaged") };
    assert!(reason.contains("checkpoints/vhost/rows-") && reason.contains("at byte"), "{reason}");
}

/// What a repair needs of the bench. The journal of the bench is no file: it begins anew behind the checkpoint.
fn repaired(bench: &Bench) -> Engine {
    let journal = Arc::new(journal::storage::MemoryStorage::new());
    let data = Arc::new(bench.storage.clone());
    let folder = "journal".to_owned();
    let files = DataFiles { data: data.clone(), journal: journal.clone(), journal_folder: folder };
    let options = FileOptions::new(1);
    repair(&files, &log(), &make_aside(&files).unwrap(), options, bench.now).unwrap();
    let journal = journal::FileJournal::new(journal, options);
    let settings = Settings { state_bytes: 1, ..Settings::default() };
    Engine::open(settings, &journal, &log(), data, bench.now).unwrap()
}

fn found_in(engine: &mut Engine, number: usize) -> Option<Bytes> {
    loop {
        match ask(engine, KEYS, number) {
            Lookup::Known(value) => return value,
            Lookup::Cold => {
                let job = engine.take_load_job().unwrap();
                engine.load_done(broker::Timestamp(5000), job.run());
            }
        }
    }
}

#[test]
fn the_doctor_keeps_rows_that_only_runs_have() {
    let (mut bench, one) = started();
    put(&mut bench, KEYS, 0..2000);
    flush(&mut bench, one);
    bench.close();
    let mut engine = repaired(&bench);
    assert_eq!((found_in(&mut engine, 1999), found_in(&mut engine, 2000)), (Some(value(1999)), None));
}

/// A table against a map, over checkpoints, merges, starts, and memory that is taken away.
#[test]
fn whatever_happens_a_table_is_what_was_put_in() {
    let (mut bench, mut one) = started();
    let (mut model, mut checkpoints) = (BTreeMap::new(), 0);
    let mut random = 7u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    for round in 0..600 {
        let number = next(300);
        match next(12) {
            0..4 => {
                bench.engine.with_table(TIMES, |table, _| table.put(&key(number), &value(round)));
                model.insert(key(number), value(round));
            }
            4..6 => {
                remove(&mut bench, TIMES, [number]);
                model.remove(&key(number));
            }
            6 => bench.engine.evict_all(),
            7 => {
                bench.ask(one, [publish("q", body(round, 10))]);
                bench.settle();
            }
            8 => assert_eq!(find(&mut bench, TIMES, number), model.get(&key(number)).cloned()),
            9 => {
                // Its answer comes some time later.
                ask(&mut bench.engine, TIMES, number);
                bench.holds_loads = next(2) == 0;
            }
            10 if round % 5 == 0 => {
                checkpoints += bench.engine.counts().checkpoints;
                bench.restart();
                one = bench.connect();
            }
            _ => {
                let expected: Vec<_> = model.clone().into_iter().collect();
                assert_eq!(find_range(&mut bench, TIMES, 40), expected);
                let view = bench.engine.view_at_last_entry();
                let tables = view.map(|view| view.tables).into_iter().flatten();
                tables.for_each(|(_, rows)| assert_eq!(rows, expected));
            }
        }
    }
    assert!(checkpoints > 6, "{checkpoints}");
}
