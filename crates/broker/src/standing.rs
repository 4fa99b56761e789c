//! What becomes of messages that were alive a moment ago: who has them, and since when.

use std::collections::BTreeMap;

use field_table::ShortString;

use crate::broker::Broker;
use crate::consumer::ConsumerId;
use crate::task::{Holder, Phase};
use crate::unacked::Delivery;
use crate::{QueueNumber, SessionId, Timestamp};

/// How a message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is no more.
    Gone,
    /// Nobody has it.
    Waiting,
    /// A session has it, and has not settled it.
    Delivered(Holding),
    /// It is a task, and a worker has a lease on it.
    Leased {
        /// What the worker calls itself.
        worker: ShortString,
    },
    /// It is a task whose worker has acknowledged it; the reply is to come.
    ReplyAwaited,
}

/// A session's hold on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The session.
    pub session: SessionId,
    /// The user of its connection.
    pub user: ShortString,
    /// The consumer's tag; none for a message that was asked for alone, and for a consumer that is cancelled.
    pub consumer_tag: Option<ShortString>,
    /// When it was delivered.
    pub since: Timestamp,
}

impl Broker {
    /// How these messages stand, in the same order. Costs a look at every delivery that is not settled.
    #[must_use]
    pub fn standings(&self, messages: &[(QueueNumber, u64)]) -> Vec<Standing> {
        let mut holdings: BTreeMap<(QueueNumber, u64), Option<Holding>> =
            messages.iter().map(|message| (*message, None)).collect();
        for (session, user, delivery) in self.deliveries() {
            if let Some(holding) = holdings.get_mut(&(delivery.queue, delivery.sequence)) {
                let consumer_tag = delivery.consumer.and_then(|id| self.tag_of(id));
                *holding = Some(Holding { session, user: user.clone(), consumer_tag, since: delivery.at });
            }
        }
        let standing = |(queue, sequence): &(QueueNumber, u64)| match &holdings[&(*queue, *sequence)] {
            Some(holding) => Standing::Delivered(holding.clone()),
            None => self.standing_beside_deliveries(*queue, *sequence),
        };
        messages.iter().map(standing).collect()
    }

    /// The name of a queue.
    #[must_use]
    pub fn queue_name(&self, number: QueueNumber) -> Option<&ShortString> {
        self.queues.get(&number).map(|queue| &queue.definition.name)
    }

    /// All deliveries that are not settled, or whose settlement waits for a commit.
    fn deliveries(&self) -> impl Iterator<Item = (SessionId, &ShortString, &Delivery)> {
        self.connections.iter().flat_map(|(connection, state)| {
            state.sessions.iter().flat_map(move |(channel, session)| {
                let id = SessionId { connection: *connection, channel: *channel };
                let uncommitted = session.mode.transaction().into_iter();
                let uncommitted =
                    uncommitted.flat_map(|open| open.settlements.iter().map(|(delivery, _)| delivery));
                session.unacked.iter().chain(uncommitted).map(move |delivery| (id, &state.user, delivery))
            })
        })
    }

    fn tag_of(&self, consumer: ConsumerId) -> Option<ShortString> {
        self.consumers.get(&consumer).map(|consumer| consumer.tag.clone())
    }

    fn standing_beside_deliveries(&self, number: QueueNumber, sequence: u64) -> Standing {
        let is_alive = self.queues.get(&number).is_some_and(|queue| queue.strand.is_alive(sequence));
        if !is_alive {
            return Standing::Gone;
        }
        let task = self.tasks.of_message(number, sequence).and_then(|id| self.tasks.get(id));
        match task.map(|task| &task.phase) {
            Some(Phase::Running(run)) => match &run.holder {
                Holder::Lease { worker, .. } => Standing::Leased { worker: worker.clone() },
                Holder::Delivery { .. } | Holder::Awaited { .. } | Holder::Acked { .. } => {
                    Standing::ReplyAwaited
                }
            },
            _ => Standing::Waiting,
        }
    }
}
