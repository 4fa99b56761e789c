//! A seal's rows, in the order of their keys.

use std::iter::Peekable;
use std::slice;

use bytes::BufMut;

use super::{
    ACCOUNT, BINDING, DEFINITIONS, EXCHANGE, LEVEL, PAGES, QUEUE, QUEUES, Sealed, SealedTable, TASKS,
    entries_in_row, page_row,
};
use crate::message::SealedPage;
use crate::task::SealedTask;
use crate::{Lsn, varint};

/// A row of a run.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its key; the first byte names the table.
    pub key: &'a [u8],
    /// Its value. `None`: there is no such row any more.
    pub value: Option<&'a [u8]>,
    /// The lowest and the highest entry with an envelope of its living messages, if it has some.
    pub entries: Option<(Lsn, Lsn)>,
    /// It is worth a place of its own in a run: it is large, and will be looked for alone.
    pub is_alone: bool,
}

/// Builds one row after the other in the same memory.
struct Rows<Sink> {
    key: Vec<u8>,
    value: Vec<u8>,
    sink: Sink,
}

impl Sealed {
    /// Its number among the seals of this boot, from 1: what [`crate::Broker::evict`] wants to know when a run has it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Gives out all rows in the order of their keys.
    pub fn rows(&self, row: impl FnMut(Row<'_>)) {
        let mut rows = Rows { key: Vec::new(), value: Vec::new(), sink: row };
        rows.put(
            ACCOUNT,
            |_| (),
            Some(()),
            |(), value| {
                varint::write(value, self.boot);
                varint::write(value, self.next_queue);
            },
        );
        let mut tables = self.tables.iter().peekable();
        rows.tables_before(DEFINITIONS, &mut tables);
        self.definitions(&mut rows);
        for ((queue, first), page) in &self.pages {
            rows.page(
                |key| {
                    key.put_u64(queue.0);
                    key.put_u8(LEVEL);
                    key.put_u64(*first);
                },
                page.as_ref(),
            );
        }
        for (queue, counters) in &self.counters {
            rows.put(
                QUEUES,
                |key| key.put_u64(queue.0),
                counters.as_ref(),
                |counters, value| {
                    varint::write(value, counters.next_sequence);
                    varint::write(value, counters.maybe_delivered_below);
                },
            );
        }
        rows.tables_before(TASKS, &mut tables);
        for (id, task) in &self.tasks {
            let put_id = |key: &mut Vec<u8>| key.put_slice(&id.to_bytes());
            rows.put(TASKS, put_id, task.as_ref(), |task, value| value.put_slice(&SealedTask::of(task).row));
        }
        debug_assert!(tables.next().is_none(), "no table stands behind the tasks");
    }

    fn definitions(&self, rows: &mut Rows<impl FnMut(Row<'_>)>) {
        let named = |kind: u8, name: &[u8], key: &mut Vec<u8>| {
            key.put_u8(kind);
            key.put_slice(name);
        };
        for (name, exchange) in &self.exchanges {
            let copy = |row: &Vec<u8>, value: &mut Vec<u8>| value.put_slice(row);
            rows.put(DEFINITIONS, |key| named(EXCHANGE, name, key), exchange.as_ref(), copy);
        }
        for (number, queue) in &self.queues {
            let copy = |row: &Vec<u8>, value: &mut Vec<u8>| value.put_slice(row);
            rows.put(DEFINITIONS, |key| named(QUEUE, &number.0.to_be_bytes(), key), queue.as_ref(), copy);
        }
        for (encoded, binding) in &self.bindings {
            rows.put(DEFINITIONS, |key| named(BINDING, encoded, key), binding.as_ref(), |(), _| ());
        }
    }

    /// The journal's entries that are needed beside those that rows name: for messages of queues that don't survive a restart,
    /// and for results of tasks. In no order, and some of them more than once.
    pub fn entries_beside_rows(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.entries_of_transient().chain(self.results.iter().copied())
    }

    /// The journal's entries that hold messages of queues that don't survive a restart, as above.
    pub fn entries_of_transient(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.transient.iter().flat_map(SealedPage::entries)
    }
}

impl<Sink: FnMut(Row<'_>)> Rows<Sink> {
    fn put<Value>(
        &mut self,
        table: u8,
        key: impl FnOnce(&mut Vec<u8>),
        value: Option<Value>,
        write: impl FnOnce(Value, &mut Vec<u8>),
    ) {
        self.begin(table, key);
        let is_there = value.is_some();
        if let Some(value) = value {
            write(value, &mut self.value);
        }
        let value = is_there.then_some(&self.value[..]);
        (self.sink)(Row { key: &self.key, value, entries: None, is_alone: false });
    }

    /// The rows of tables whose letters are in front of this one.
    fn tables_before(&mut self, letter: u8, tables: &mut Peekable<slice::Iter<'_, SealedTable>>) {
        while let Some((kind, changes)) = tables.next_if(|(kind, _)| kind.letter() < letter) {
            for (key, value) in changes.iter() {
                self.begin(kind.letter(), |row_key| row_key.put_slice(key));
                let named = value.and_then(|value| entries_in_row(&self.key, value.clone()).ok());
                let entries = named.and_then(|named| Some((*named.first()?, *named.last()?)));
                (self.sink)(Row {
                    key: &self.key,
                    value: value.map(|value| &value[..]),
                    entries,
                    is_alone: false,
                });
            }
        }
    }

    fn page(&mut self, key: impl FnOnce(&mut Vec<u8>), page: Option<&SealedPage>) {
        self.begin(PAGES, key);
        let entries = page.and_then(|page| page_row::write(page, &mut self.value));
        let value = page.map(|_| &self.value[..]);
        (self.sink)(Row { key: &self.key, value, entries, is_alone: true });
    }

    fn begin(&mut self, table: u8, key: impl FnOnce(&mut Vec<u8>)) {
        self.key.clear();
        self.value.clear();
        self.key.push(table);
        key(&mut self.key);
    }
}
