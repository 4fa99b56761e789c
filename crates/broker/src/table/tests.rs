//! A table and its runs against a map, whatever is in memory and however late answers are.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::changes::row_bytes;
use super::{Changes, Lookup, Rest, Table, TableKind};
use crate::cold::{Found, Want};

type Rows = BTreeMap<Vec<u8>, Bytes>;

/// A table with the runs below it and all that is under way between the two.
struct World {
    table: Table,
    /// What the table should be.
    model: Rows,
    /// What runs are, by version.
    runs: Vec<Rows>,
    /// Seals that are in no run.
    sealed: Vec<Option<std::sync::Arc<Changes>>>,
    seals: u64,
    wants: Vec<Want>,
    /// Answers under way, with their versions.
    answers: Vec<(Want, u64, Found)>,
    /// Keys that were in use at some time.
    used: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    /// Of a key that was never in use, unless it was.
    PutNew(u8, u8),
    /// Five rows, from this one on: a large layer.
    PutFive(u8, u8),
    Remove(u8),
    Get(u8),
    Range(u8, Option<u8>, usize),
    Seal,
    /// A run is written of the oldest seal.
    Write,
    Evict(u64),
    /// What is wanted is read. Of ranges so many rows.
    Read(usize),
    /// An answer comes, and may come once more later.
    Answer(usize, bool),
    /// A start: what is in memory alone is put in again, as by a replay.
    Restart,
}

fn key(number: u8) -> Vec<u8> {
    vec![number]
}

impl World {
    fn new() -> Self {
        Self {
            table: Table::new(TableKind::Times),
            model: Rows::new(),
            runs: vec![Rows::new()],
            sealed: Vec::new(),
            seals: 0,
            wants: Vec::new(),
            answers: Vec::new(),
            used: Vec::new(),
        }
    }

    fn version(&self) -> u64 {
        self.runs.len() as u64 - 1
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Put(number, value) => {
                self.table.put(&key(number), &[value]);
                self.put(number, value);
            }
            Step::PutNew(number, value) => {
                match self.used.contains(&number) {
                    true => self.table.put(&key(number), &[value]),
                    false => self.table.put_new(&key(number), &[value]),
                }
                self.put(number, value);
            }
            Step::PutFive(first, value) => {
                (first..KEYS.min(first + 5)).for_each(|number| self.step(&Step::Put(number, value)));
            }
            Step::Remove(number) => {
                self.table.remove(&key(number));
                self.model.remove(&key(number));
            }
            Step::Get(number) => drop(self.get(number)),
            Step::Range(from, below, limit) => drop(self.range(from, below, limit)),
            Step::Seal => {
                self.seals += 1;
                self.sealed.push(self.table.seal(self.seals));
            }
            Step::Write => self.write(),
            Step::Evict(bytes) => self.table.evict(bytes),
            Step::Read(rows_max) => self.read(rows_max),
            Step::Answer(at, again) => self.answer(at, again),
            Step::Restart => self.restart(),
        }
        self.check_bytes();
    }

    fn put(&mut self, number: u8, value: u8) {
        self.used.push(number);
        self.model.insert(key(number), Bytes::copy_from_slice(&[value]));
    }

    fn get(&mut self, number: u8) -> Lookup {
        let found = self.table.get(&key(number), &mut self.wants);
        if let Lookup::Known(value) = &found {
            assert_eq!(value.as_ref(), self.model.get(&key(number)), "row {number}");
        }
        found
    }

    fn range(&mut self, from: u8, below: Option<u8>, limit: usize) -> Rest {
        let (from, below) = (key(from), below.map(key));
        let window = self.table.range(&from, below.as_deref(), limit, &mut self.wants);
        let is_inside = |key: &Vec<u8>| *key >= from && below.as_ref().is_none_or(|below| key < below);
        let expected: Vec<_> = self.model.clone().into_iter().filter(|(key, _)| is_inside(key)).collect();
        assert_eq!(window.rows, expected[..window.rows.len()]);
        match window.rest {
            Rest::Nothing => assert_eq!(window.rows.len(), expected.len()),
            Rest::More => assert_eq!(window.rows.len(), limit),
            Rest::Cold => assert!(window.rows.len() < limit.max(1)),
        }
        window.rest
    }

    fn write(&mut self) {
        if self.sealed.is_empty() {
            return;
        }
        let mut rows = self.runs.last().unwrap().clone();
        let changes = self.sealed.remove(0);
        for (key, value) in changes.iter().flat_map(|changes| changes.iter()) {
            match value {
                Some(value) => drop(rows.insert(key.to_vec(), value.clone())),
                None => drop(rows.remove(key)),
            }
        }
        self.runs.push(rows);
        self.table.written(self.version());
    }

    fn read(&mut self, rows_max: usize) {
        let version = self.version();
        for want in std::mem::take(&mut self.wants) {
            let found = self.found(&want, rows_max);
            self.answers.push((want, version, found));
        }
    }

    fn found(&self, want: &Want, rows_max: usize) -> Found {
        let runs = self.runs.last().unwrap();
        match want {
            Want::Page { .. } => unreachable!("a table wants no pages"),
            Want::Row { key, .. } => Found::Row(runs.get(key).cloned()),
            Want::Range { from, below, limit, .. } => {
                let is_inside = |key: &Vec<u8>| key >= from && below.as_ref().is_none_or(|below| key < below);
                let all = runs.iter().filter(|(key, _)| is_inside(key));
                let all: Vec<_> = all.map(|(key, value)| (key.clone(), value.clone())).collect();
                let rows = all[..all.len().min(*limit).min(rows_max.max(1))].to_vec();
                let is_all = rows.len() == all.len();
                let up_to = rows.last().filter(|_| !is_all).map(|(key, _)| [&key[..], &[0]].concat());
                Found::Range { rows, up_to }
            }
        }
    }

    fn answer(&mut self, at: usize, again: bool) {
        if self.answers.is_empty() {
            return;
        }
        let at = at % self.answers.len();
        let (want, version, found) = self.answers[at].clone();
        if !again {
            self.answers.remove(at);
        }
        assert!(self.table.loaded(&want, version, found, &mut self.wants), "{want:?}");
    }

    fn restart(&mut self) {
        let runs = self.runs.last().unwrap().clone();
        let World { model, used, .. } = std::mem::replace(self, World::new());
        self.table.leave_on_disk();
        for (key, value) in model.iter().filter(|(key, value)| runs.get(*key) != Some(*value)) {
            self.table.put(key, value);
        }
        runs.keys().filter(|key| !model.contains_key(*key)).for_each(|key| self.table.remove(key));
        (self.model, self.used, self.runs) = (model, used, vec![runs]);
    }

    fn check_bytes(&self) {
        let bytes = |rows: &mut dyn Iterator<Item = (&[u8], Option<&Bytes>)>| -> u64 {
            rows.map(|(key, value)| row_bytes(key, value)).sum()
        };
        let layers = self.table.layers.iter().map(|layer| bytes(&mut layer.changes.iter())).sum::<u64>();
        let (changes, answers) = (&self.table.changes, &self.table.answers);
        let all = bytes(&mut changes.iter()) + layers + bytes(&mut answers.range(&[], None));
        assert_eq!(self.table.bytes(), all);
    }

    /// Whoever waits for something gets it at last.
    fn check_all(&mut self) {
        for number in 0..KEYS {
            while self.get(number) == Lookup::Cold {
                assert!(self.give(), "row {number} is cold, and nobody was asked for it");
            }
        }
        while self.range(0, None, usize::from(KEYS) + 1) == Rest::Cold {
            assert!(self.give(), "the rest is cold, and nobody was asked for it");
        }
        let runs = self.runs.last().unwrap().clone();
        let rows = self.table.rows_with(|want| Some(self.found(&want, 2))).unwrap();
        assert_eq!(rows, self.model.clone().into_iter().collect::<Vec<_>>(), "over {runs:?}");
    }

    /// Reads what is wanted, and gives the oldest answer. False if nothing is under way.
    fn give(&mut self) -> bool {
        self.read(2);
        let is_there = !self.answers.is_empty();
        self.answer(0, false);
        is_there
    }
}

const KEYS: u8 = 12;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..KEYS;
    let step = prop_oneof![
        6 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (key(), any::<u8>()).prop_map(|(key, value)| Step::PutNew(key, value)),
        2 => (key(), any::<u8>()).prop_map(|(key, value)| Step::PutFive(key, value)),
        4 => key().prop_map(Step::Remove),
        6 => key().prop_map(Step::Get),
        4 => (key(), proptest::option::of(key()), 0..5usize)
            .prop_map(|(from, below, limit)| Step::Range(from, below, limit)),
        3 => Just(Step::Seal),
        3 => Just(Step::Write),
        2 => (0..2000u64).prop_map(Step::Evict),
        1 => Just(Step::Evict(u64::MAX)),
        4 => (1..4usize).prop_map(Step::Read),
        6 => (any::<usize>(), proptest::bool::weighted(0.2)).prop_map(|(at, again)| Step::Answer(at, again)),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_known_is_true_whatever_is_in_memory(steps in steps(), is_cold: bool) {
        let mut world = World::new();
        if is_cold {
            world.table.leave_on_disk();
        }
        steps.iter().for_each(|step| world.step(step));
        world.check_all();
    }
}

fn run(steps: &[Step]) -> World {
    let mut world = World::new();
    world.table.leave_on_disk();
    steps.iter().for_each(|step| world.step(step));
    world
}

#[test]
fn an_answer_that_is_older_than_what_has_left_memory_is_asked_for_again() {
    let (evict, answer) = (Step::Evict(u64::MAX), Step::Answer(0, false));
    let mut world =
        run(&[Step::Get(7), Step::Read(1), Step::Put(7, 1), Step::Seal, Step::Write, evict, answer]);
    assert_eq!(world.wants, [Want::Row { table: TableKind::Times, key: key(7) }]);
    assert_eq!(world.get(7), Lookup::Cold);
    world.step(&Step::Read(1));
    world.step(&Step::Answer(0, false));
    assert_eq!(world.get(7), Lookup::Known(Some(Bytes::from_static(&[1]))));
}

#[test]
fn the_same_of_a_range() {
    let (evict, answer) = (Step::Evict(u64::MAX), Step::Answer(0, false));
    let mut world = run(&[
        Step::Range(3, None, 5),
        Step::Read(5),
        Step::Put(7, 1),
        Step::Seal,
        Step::Write,
        evict,
        answer,
    ]);
    assert_eq!(world.range(3, None, 5), Rest::Cold);
    world.step(&Step::Read(5));
    world.step(&Step::Answer(0, false));
    assert_eq!(world.range(3, None, 5), Rest::Nothing);
}

#[test]
fn an_older_answer_is_good_while_what_was_sealed_after_it_is_here() {
    let mut world = run(&[Step::Range(0, None, 9), Step::Read(9), Step::Put(7, 1), Step::Seal, Step::Write]);
    world.step(&Step::Answer(0, false));
    assert!(world.wants.is_empty());
    assert_eq!(world.range(0, None, 9), Rest::Nothing);
}

#[test]
fn what_came_and_went_between_two_seals_leaves_no_trace() {
    let mut world = World::new();
    world.table.put(&key(1), b"known to be nowhere");
    world.table.remove(&key(1));
    world.table.leave_on_disk();
    world.table.put_new(&key(2), b"never in use");
    world.table.remove(&key(2));
    assert!(world.table.seal(1).is_none());
    world.table.put(&key(3), b"nobody knows");
    world.table.remove(&key(3));
    let sealed = world.table.seal(2).unwrap();
    assert_eq!(sealed.iter().collect::<Vec<_>>(), [(&key(3)[..], None)]);
    world.table.put(&key(3), b"the seal says that it is gone");
    world.table.remove(&key(3));
    assert!(world.table.seal(3).is_none());
}

#[test]
fn what_is_in_no_run_stays_in_memory() {
    let mut world = run(&[Step::Put(1, 1), Step::Seal, Step::Put(2, 2), Step::Evict(u64::MAX)]);
    assert_eq!(world.get(1), Lookup::Known(Some(Bytes::from_static(&[1]))));
    world.step(&Step::Write);
    world.step(&Step::Evict(u64::MAX));
    assert_eq!((world.get(1), world.get(2)), (Lookup::Cold, Lookup::Known(Some(Bytes::from_static(&[2])))));
}

#[test]
fn of_a_large_layer_what_is_in_front_stays() {
    let mut world = World::new();
    (0..10).for_each(|number| world.step(&Step::Put(number, number)));
    (0..3).for_each(|_| {
        world.step(&Step::Seal);
        world.step(&Step::Write);
        world.step(&Step::Put(11, 1));
    });
    world.step(&Step::Seal);
    world.step(&Step::Write);
    world.table.evict(1);
    assert_eq!(world.range(0, None, 3), Rest::More);
    assert_eq!(world.get(9), Lookup::Cold);
}

#[test]
fn what_was_read_before_is_forgotten_with_a_large_layer_that_says_otherwise() {
    let (evict, answer) = (Step::Evict(1), Step::Answer(0, false));
    let mut world =
        run(&[Step::Get(2), Step::Read(1), answer, Step::PutFive(0, 9), Step::Seal, Step::Write, evict]);
    assert_eq!(world.get(2), Lookup::Cold);
}

#[test]
fn what_does_not_fit_what_was_wanted_is_told() {
    let mut world = run(&[Step::Range(3, Some(8), 5)]);
    let want = world.wants.pop().unwrap();
    let row = |number| (key(number), Bytes::new());
    for found in [
        Found::Row(None),
        Found::Range { rows: vec![row(2)], up_to: None },
        Found::Range { rows: vec![row(8)], up_to: None },
        Found::Range { rows: vec![row(5)], up_to: Some(key(5)) },
        Found::Range { rows: vec![], up_to: Some(key(3)) },
    ] {
        assert!(!world.table.loaded(&want, 0, found, &mut world.wants));
    }
    assert!(world.table.is_wanted(&want));
}
