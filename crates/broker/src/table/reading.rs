//! Looking things up in a table, and what becomes of answers.

use std::iter::Peekable;

use bytes::Bytes;

use super::Table;
use crate::cold::{Found, Want};
use crate::view::TableRows;

/// What a table knows of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The value of its row; nothing if there is none.
    Known(Option<Bytes>),
    /// It is not in memory, and was asked for.
    Cold,
}

/// What a table knows of a range of keys, from its beginning on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The rows that there are, in the order of their keys.
    pub rows: Vec<(Vec<u8>, Bytes)>,
    /// What is behind them.
    pub rest: Rest,
}

/// What is behind a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing more.
    Nothing,
    /// Perhaps more than was asked for.
    More,
    /// What is not in memory, and was asked for.
    Cold,
}

type Rows<'a> = Box<dyn Iterator<Item = (&'a [u8], Option<&'a Bytes>)> + 'a>;

impl Table {
    /// Looks a row up. What is not in memory is added to `wants`, unless it was asked for before and has not come.
    pub fn get(&mut self, key: &[u8], wants: &mut Vec<Want>) -> Lookup {
        match self.known(key) {
            Some(value) => Lookup::Known(value.cloned()),
            None => {
                self.want(Want::Row { table: self.kind, key: key.to_vec() }, wants);
                Lookup::Cold
            }
        }
    }

    /// The first rows, `limit` at most, from the one key up to, and without, the other; up to the end if there is none. What is not in memory
    /// is added to `wants`, unless it was asked for before and has not come.
    pub fn range(
        &mut self,
        from: &[u8],
        below: Option<&[u8]>,
        limit: usize,
        wants: &mut Vec<Want>,
    ) -> Window {
        let mut rows = Vec::new();
        if below.is_some_and(|below| below <= from) {
            return Window { rows, rest: Rest::Nothing };
        }
        if limit == 0 {
            return Window { rows, rest: Rest::More };
        }
        let known_below = self.answers.coverage.end_from(from);
        let Some(end) = known_below.map(|end| earlier(end, below)) else {
            self.want_range(from.to_vec(), below, limit, wants);
            return Window { rows, rest: Rest::Cold };
        };
        let present =
            self.known_rows(from, end).filter_map(|(key, value)| Some((key.to_vec(), value?.clone())));
        rows.extend(present.take(limit));
        if rows.len() == limit {
            return Window { rows, rest: Rest::More };
        }
        if end == below {
            return Window { rows, rest: Rest::Nothing };
        }
        let next = end.expect("it is in front of what was asked for").to_vec();
        self.want_range(next, below, limit, wants);
        Window { rows, rest: Rest::Cold }
    }

    /// Takes an answer of runs that have all seals up to `version`. One that is too old is asked for again, one that nobody waits for means
    /// nothing. False if it is none to what was wanted.
    pub(crate) fn loaded(&mut self, want: &Want, version: u64, found: Found, wants: &mut Vec<Want>) -> bool {
        let Some(seal) = self.loads.get(want) else { return true };
        if version < *seal {
            wants.push(want.clone());
            return true;
        }
        match (want, found) {
            (Want::Row { key, .. }, Found::Row(value)) => {
                if self.known(key).is_none() {
                    self.answers.insert(key, value);
                }
            }
            (Want::Range { from, below, .. }, Found::Range { rows, up_to }) => {
                let end = up_to.as_deref().or(below.as_deref());
                let is_inside = |key: &[u8]| key >= &from[..] && end.is_none_or(|end| key < end);
                let is_further = up_to.as_ref().is_none_or(|end| end > from);
                if !is_further || !rows.iter().all(|(key, _)| is_inside(key)) {
                    return false;
                }
                for (key, value) in rows {
                    if self.known_above(&key).is_none() {
                        self.answers.insert(&key, Some(value));
                    }
                }
                self.answers.coverage.add(from, end);
            }
            _ => return false,
        }
        self.loads.remove(want);
        true
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_wanted(&self, want: &Want) -> bool {
        self.loads.contains_key(want)
    }

    /// All rows that there are; `read` answers for what is not in memory, which stays so. Nothing if it cannot.
    pub(crate) fn rows_with(&self, mut read: impl FnMut(Want) -> Option<Found>) -> Option<TableRows> {
        let mut all = Table::new(self.kind);
        let mut next =
            if self.answers.coverage.end_from(&[]) == Some(None) { None } else { Some(Vec::new()) };
        while let Some(from) = next.take() {
            let want = Want::Range { table: self.kind, from, below: None, limit: usize::MAX };
            let Found::Range { rows, up_to } = read(want)? else { return None };
            rows.iter().for_each(|(key, value)| all.put(key, value));
            next = up_to;
        }
        for (key, value) in self.known_rows(&[], None) {
            match value {
                Some(value) => all.put(key, value),
                None => all.remove(key),
            }
        }
        let rows = all.known_rows(&[], None);
        Some(rows.filter_map(|(key, value)| Some((key.to_vec(), value?.clone()))).collect())
    }

    fn known(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        match self.changes.get(key) {
            Some(change) => Some(change.value.as_ref()),
            None => self.known_below(key),
        }
    }

    /// What is known of a key but for what has changed since the last seal.
    pub(super) fn known_below(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        self.sealed(key).or_else(|| self.answers.get(key))
    }

    /// What is known of a key beside what runs have said.
    pub(super) fn known_above(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        self.changes.get(key).map(|change| change.value.as_ref()).or_else(|| self.sealed(key))
    }

    fn sealed(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        let change = self.layers.iter().rev().find_map(|layer| layer.changes.get(key));
        change.map(|change| change.value.as_ref())
    }

    /// All rows of a range that are in memory, of each key the newest; also those of which it is known that they are gone.
    pub(super) fn known_rows<'a>(
        &'a self,
        from: &[u8],
        below: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a Bytes>)> + use<'a> {
        let mut sources: Vec<Peekable<Rows<'a>>> = Vec::new();
        let mut add = |rows: Rows<'a>| sources.push(rows.peekable());
        add(Box::new(self.changes.range(from, below)));
        self.layers.iter().rev().for_each(|layer| add(Box::new(layer.changes.range(from, below))));
        add(Box::new(self.answers.range(from, below)));
        std::iter::from_fn(move || {
            let key = sources.iter_mut().filter_map(|rows| Some(rows.peek()?.0)).min()?;
            let of_key = sources.iter_mut().filter_map(|rows| rows.next_if(|row| row.0 == key));
            // The newest comes first, and all of them are passed.
            of_key.reduce(|newest, _| newest)
        })
    }

    fn want_range(&mut self, from: Vec<u8>, below: Option<&[u8]>, limit: usize, wants: &mut Vec<Want>) {
        let below = below.map(<[u8]>::to_vec);
        self.want(Want::Range { table: self.kind, from, below, limit }, wants);
    }

    fn want(&mut self, want: Want, wants: &mut Vec<Want>) {
        if !self.loads.contains_key(&want) {
            wants.push(want.clone());
            self.loads.insert(want, self.written);
        }
    }
}

/// The end that comes first.
fn earlier<'a>(one: Option<&'a [u8]>, other: Option<&'a [u8]>) -> Option<&'a [u8]> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
