//! What there is: queues, consumers and sessions as plain lists, and the few changes that operations share.

use std::collections::BTreeMap;

use broker::{Answer, Counters, Outcome, Refusal};
use field_table::ShortString;

use super::step::{CONNECTIONS, Client, Publication};
use super::topology::{Node, Topology};

/// A message in one queue. Its body is its number.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) persistent: bool,
    /// It lies in the journal, be it for this queue or for another one.
    pub(crate) journaled: bool,
    pub(crate) delivered: bool,
    pub(crate) holder: Option<(Client, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    /// The connection that it is exclusive to.
    pub(crate) owner: Option<usize>,
    pub(crate) messages: Vec<Message>,
}

#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) client: Client,
    pub(crate) tag: ShortString,
    pub(crate) queue: u64,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) prefetch: u16,
}

/// A delivery that is not settled for good: what a transaction settles stays until the commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) queue: u64,
    /// `None` for what was taken by hand.
    pub(crate) consumer: Option<u64>,
}

#[derive(Default)]
pub(crate) enum Mode {
    #[default]
    Plain,
    Confirm {
        published: u64,
    },
    Transaction(Transaction),
}

/// What waits for the commit.
#[derive(Default)]
pub(crate) struct Transaction {
    /// Numbers of messages, and how they were published.
    pub(crate) publishes: Vec<(u64, Publication)>,
    /// Tags of deliveries.
    pub(crate) settled: Vec<(u64, Outcome)>,
}

#[derive(Default)]
pub(crate) struct Session {
    pub(crate) refused: bool,
    pub(crate) mode: Mode,
    pub(crate) last_tag: u64,
    pub(crate) held: BTreeMap<u64, Held>,
    pub(crate) consumer_prefetch: u16,
    pub(crate) shared_prefetch: u16,
    pub(crate) reply_tag: Option<ShortString>,
}

/// What the operation itself has to tell, in this order and before any delivery.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Answered(Answer),
    Refused(Refusal),
    Confirmed(u64),
    Returned(u64),
    Replied {
        tag: ShortString,
        delivery_tag: u64,
        message: u64,
    },
    Cancelled(ShortString),
    Disconnected,
    /// The first ready message of a queue, which is judged as a delivery.
    Got {
        queue: u64,
        no_ack: bool,
    },
}

pub(crate) struct Model {
    pub(crate) topology: Topology,
    pub(crate) queues: BTreeMap<u64, Queue>,
    pub(crate) consumers: BTreeMap<u64, Consumer>,
    pub(crate) sessions: BTreeMap<Client, Session>,
    /// Bytes that were handed out to each connection and have not left.
    pub(crate) unsent: [u64; CONNECTIONS],
    /// The number of each connection in the world. A new one takes the place of one that is gone.
    pub(crate) connections: [u64; CONNECTIONS],
    pub(crate) counters: Counters,
    pub(crate) told: Vec<(Client, Told)>,
    last_number: u64,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            topology: Topology::new(),
            queues: BTreeMap::new(),
            consumers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            unsent: [0; CONNECTIONS],
            connections: [1, 2, 3],
            counters: Counters::default(),
            told: Vec::new(),
            last_number: 0,
        }
    }

    /// A number for something new.
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn queue_named(&self, name: &str) -> Option<u64> {
        self.queues.iter().find(|(_, queue)| queue.name == name).map(|(number, _)| *number)
    }

    pub(crate) fn consumers_of(&self, queue: u64) -> impl Iterator<Item = &Consumer> {
        self.consumers.values().filter(move |consumer| consumer.queue == queue)
    }

    pub(crate) fn ready(&self, queue: u64) -> u64 {
        self.queues[&queue].messages.iter().filter(|message| message.holder.is_none()).count() as u64
    }

    /// Puts a message into queues.
    pub(crate) fn enqueue(&mut self, number: u64, persistent: bool, queues: &[u64]) {
        let journaled = persistent && queues.iter().any(|queue| self.queues[queue].durable);
        let message = Message { number, persistent, journaled, delivered: false, holder: None };
        for queue in queues {
            self.queues.get_mut(queue).expect("routed to what there is").messages.push(message.clone());
        }
    }

    /// Ends deliveries that the session holds.
    pub(crate) fn settle(&mut self, client: Client, tags: &[u64], outcome: Outcome) {
        for tag in tags {
            let held = self.sessions.get_mut(&client).and_then(|session| session.held.remove(tag));
            let queue = held.and_then(|held| self.queues.get_mut(&held.queue));
            self.counters.acknowledged += u64::from(outcome == Outcome::Acknowledged);
            // With its queue a delivery has lost its message.
            let Some(queue) = queue else { continue };
            let is_meant = |message: &Message| message.holder == Some((client, *tag));
            let at = queue.messages.iter().position(is_meant).expect("what is held is in its queue");
            match outcome {
                Outcome::Requeued => queue.messages[at].holder = None,
                Outcome::Acknowledged | Outcome::Discarded => {
                    self.counters.rejected_dropped += u64::from(outcome == Outcome::Discarded);
                    queue.messages.remove(at);
                }
            }
        }
    }

    /// The deliveries of a session that can still be settled.
    pub(crate) fn open_tags(&self, client: Client) -> Vec<u64> {
        let Some(session) = self.sessions.get(&client) else { return Vec::new() };
        let is_open = |tag: &&u64| match &session.mode {
            Mode::Transaction(open) => !open.settled.iter().any(|(other, _)| other == *tag),
            _ => true,
        };
        session.held.keys().filter(is_open).copied().collect()
    }

    pub(crate) fn end_session(&mut self, client: Client) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if std::mem::replace(&mut session.refused, true) {
            return;
        }
        self.counters.sessions_closed += 1;
        session.mode = Mode::Plain;
        session.reply_tag = None;
        let tags: Vec<u64> = session.held.keys().copied().collect();
        self.settle(client, &tags, Outcome::Requeued);
        let consumers = self.consumers.iter().filter(|(_, consumer)| consumer.client == client);
        for consumer in consumers.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.remove_consumer(consumer);
        }
    }

    /// The last consumer takes an auto-delete queue along.
    pub(crate) fn remove_consumer(&mut self, number: u64) {
        let Some(Consumer { queue, .. }) = self.consumers.remove(&number) else { return };
        if self.queues[&queue].auto_delete && self.consumers_of(queue).next().is_none() {
            self.remove_queue(queue);
        }
    }

    pub(crate) fn remove_queue(&mut self, number: u64) {
        self.queues.remove(&number);
        self.counters.queues_deleted += 1;
        let gone: Vec<u64> = self
            .consumers
            .iter()
            .filter(|(_, consumer)| consumer.queue == number)
            .map(|(number, _)| *number)
            .collect();
        for consumer in gone {
            let Some(Consumer { client, tag, .. }) = self.consumers.remove(&consumer) else { continue };
            self.told.push((client, Told::Cancelled(tag)));
        }
        self.topology.unbind_all(&Node::Queue(number));
    }

    pub(crate) fn end_connection(&mut self, connection: usize) {
        let clients = self.sessions.keys().filter(|client| client.connection == connection);
        for client in clients.copied().collect::<Vec<_>>() {
            self.end_session(client);
            self.sessions.remove(&client);
        }
        let exclusive = self.queues.iter().filter(|(_, queue)| queue.owner == Some(connection));
        for queue in exclusive.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.remove_queue(queue);
        }
        self.counters.connections_closed += 1;
        self.unsent[connection] = 0;
    }

    /// What a restart leaves.
    pub(crate) fn restart(&mut self, is_crash: bool) {
        self.sessions.clear();
        self.consumers.clear();
        self.unsent = [0; CONNECTIONS];
        self.counters = Counters::default();
        self.queues.retain(|_, queue| queue.durable);
        for queue in self.queues.values_mut() {
            queue.messages.retain(|message| message.persistent);
            for message in &mut queue.messages {
                message.holder = None;
                message.delivered |= is_crash;
            }
        }
        let Self { topology, queues, .. } = self;
        let bindings = std::mem::take(&mut topology.bindings);
        let stays = |number| queues.contains_key(&number);
        topology.bindings = bindings.into_iter().filter(|bound| topology.is_durable(bound, stays)).collect();
        topology.exchanges.retain(|exchange| exchange.durable);
    }
}
