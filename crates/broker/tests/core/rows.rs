//! What checkpoints keep: the rows of one seal after the other, laid over one another.

use std::collections::BTreeMap;

use broker::{Broker, Conclusions, Sealed, Settings};
use bytes::Bytes;

/// Rows by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows(BTreeMap<Vec<u8>, Bytes>);

/// Rows, and how many entries of the journal they cover.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) rows: Rows,
    pub(crate) entries: usize,
}

impl Rows {
    /// All that a broker says if it is asked for everything.
    pub(crate) fn all_of(broker: &mut Broker) -> Self {
        let mut rows = Self::default();
        broker.forget_seals();
        rows.lay_over(&broker.seal());
        rows
    }

    /// Takes in what has changed.
    pub(crate) fn lay_over(&mut self, sealed: &Sealed) {
        let mut last = Vec::new();
        sealed.rows(|row| {
            assert!(row.key > &last[..], "rows come in the order of their keys");
            last = row.key.to_vec();
            match row.value {
                Some(value) => drop(self.0.insert(last.clone(), Bytes::copy_from_slice(value))),
                None => assert!(
                    self.0.remove(row.key).is_some(),
                    "nobody has the row {:?}, which is said to be gone",
                    row.key
                ),
            }
        });
    }

    /// Lays them over a broker that was put together otherwise.
    pub(crate) fn put_over(&self, broker: &mut Broker, is_old: bool) {
        let mut conclusions = Conclusions::default();
        for (key, value) in &self.0 {
            assert!(broker.restore_over(key, value.clone(), is_old, &mut conclusions));
        }
        broker.keep_rows(|key| self.0.contains_key(key));
        assert_eq!(conclusions, Conclusions::default());
    }

    /// A broker that begins with them.
    pub(crate) fn restored(&self, settings: Settings) -> Broker {
        let mut broker = Broker::new(settings);
        for (key, value) in &self.0 {
            broker.restore(key, value.clone()).expect("the core reads its rows");
        }
        self.assert_name_all_bodies(&broker);
        broker
    }

    /// What is asked of rows alone, so that no body is let go of that lives.
    fn assert_name_all_bodies(&self, broker: &Broker) {
        let in_row = |(key, value): (&Vec<u8>, &Bytes)| broker::bodies_in_row(key, value.clone()).unwrap();
        let mut named: Vec<_> = self.0.iter().flat_map(in_row).map(|body| body.stored).collect();
        let mut living: Vec<_> =
            broker.find_lost(|_| true).into_iter().map(|message| message.stored).collect();
        for bodies in [&mut named, &mut living] {
            bodies.sort_by_key(|body| (body.place, body.stored_bytes));
        }
        assert_eq!(named, living);
    }
}
