//! All tables of a broker.

use std::sync::Arc;

use bytes::Bytes;

use super::{Changes, Table, TableKind};

/// One table of each kind.
#[derive(Debug)]
pub(crate) struct Tables([Table; TableKind::ALL.len()]);

impl Default for Tables {
    fn default() -> Self {
        Self(TableKind::ALL.map(Table::new))
    }
}

impl Tables {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Table> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        self.0.iter_mut()
    }

    pub(crate) fn get(&self, kind: TableKind) -> &Table {
        &self.0[kind as usize]
    }

    pub(crate) fn get_mut(&mut self, kind: TableKind) -> &mut Table {
        &mut self.0[kind as usize]
    }

    /// What has changed since the last seal, in the order of the tables' letters.
    pub(crate) fn seal(&mut self, number: u64) -> Vec<(TableKind, Arc<Changes>)> {
        self.iter_mut().filter_map(|table| Some((table.kind, table.seal(number)?))).collect()
    }

    /// Puts back a row that a run has.
    pub(crate) fn restore(&mut self, row_key: &[u8], value: Bytes) -> Option<()> {
        self.get_mut(TableKind::of(row_key)?).restore(&row_key[1..], value);
        Some(())
    }
}
