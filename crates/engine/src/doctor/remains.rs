//! What a damaged entry still shows.

use std::collections::BTreeMap;

use broker::{Broker, Lsn, QueueNumber, Record};
use field_table::ShortString;

/// Records that can be made out in a damaged entry, up to the first that makes no sense. Nothing vouches for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Messages that were published, by queue.
    pub published: BTreeMap<ShortString, u64>,
    /// Messages that were settled or purged, by queue.
    pub settled: BTreeMap<ShortString, u64>,
    /// Changes of tasks.
    pub tasks: u64,
    /// Declarations and deletions.
    pub definitions: u64,
    /// Boots.
    pub boots: u64,
}

impl Remains {
    pub(super) fn of(bytes: Vec<u8>, broker: &Broker) -> Self {
        let names: BTreeMap<QueueNumber, ShortString> =
            broker.census().queues.into_iter().map(|queue| (queue.number, queue.name)).collect();
        let name = |number: &QueueNumber| names.get(number).cloned().unwrap_or_default();
        let mut remains = Self::default();
        for record in Record::read_entry(Lsn::NONE, bytes.into()).map_while(Result::ok) {
            match record {
                Record::Started { .. } => remains.boots += 1,
                Record::Published { targets, .. } => targets
                    .iter()
                    .for_each(|target| *remains.published.entry(name(&target.queue)).or_default() += 1),
                Record::Settled { queue, ranges } => {
                    let count = ranges.iter().fold(0u64, |sum, (_, length)| sum.saturating_add(*length));
                    *remains.settled.entry(name(&queue)).or_default() += count;
                }
                Record::Purged { queue, .. } => *remains.settled.entry(name(&queue)).or_default() += 1,
                Record::Spilled { .. } => {}
                Record::TaskAccepted(_)
                | Record::TaskLeased(_)
                | Record::TaskReturned(_)
                | Record::TaskEnded(_)
                | Record::TasksForgotten { .. } => remains.tasks += 1,
                Record::ExchangeDeclared(_)
                | Record::ExchangeDeleted { .. }
                | Record::QueueDeclared(_)
                | Record::QueueDeleted { .. }
                | Record::BindingAdded(_)
                | Record::BindingRemoved(_) => remains.definitions += 1,
            }
        }
        remains
    }

    /// Whether nothing can be made out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
