//! Effects, and what is at rest behind them, against the model.

use broker::{Addressed, Answer, Effect, Home, Lsn, Recipient, SessionId, StoredMessage, Totals};

use super::Conversation;
use super::state::{Held, Model, Session, Told};
use super::step::Client;
use super::topology::{Bound, Exchange, Node};

/// What a restart has to find.
#[derive(Debug, PartialEq)]
pub(crate) struct Picture {
    exchanges: Vec<Exchange>,
    bindings: Vec<Bound>,
    /// Name, auto-delete, and the messages.
    queues: Vec<(String, bool, Vec<u64>)>,
}

impl Model {
    pub(crate) fn picture(&self) -> Picture {
        let persistent = |queue: &super::state::Queue| -> Vec<u64> {
            let persistent = queue.messages.iter().filter(|message| message.persistent);
            persistent.map(|message| message.number).collect()
        };
        let is_durable =
            |bound: &&Bound| self.topology.is_durable(bound, |number| self.queues[&number].durable);
        let durable = self.queues.values().filter(|queue| queue.durable);
        let exchanges = self.topology.exchanges.iter().filter(|exchange| exchange.durable);
        let mut exchanges: Vec<_> = exchanges.cloned().collect();
        exchanges.sort_by(|one, other| one.name.cmp(&other.name));
        Picture {
            exchanges,
            bindings: self.topology.bindings.iter().filter(is_durable).cloned().collect(),
            queues: durable.map(|queue| (queue.name.clone(), queue.auto_delete, persistent(queue))).collect(),
        }
    }

    fn totals(&self) -> Totals {
        let messages = || self.queues.values().flat_map(|queue| &queue.messages);
        let bytes = |message: &super::state::Message| message.number.to_string().len() as u64;
        let replies = self.sessions.values().filter(|session| session.reply_tag.is_some());
        Totals {
            connections: self.counters.connections_opened - self.counters.connections_closed,
            sessions: self.sessions.len() as u64,
            consumers: (self.consumers.len() + replies.count()) as u64,
            exchanges: self.topology.exchanges.len() as u64,
            queues: self.queues.len() as u64,
            messages_ready: messages().filter(|message| message.holder.is_none()).count() as u64,
            messages_ready_bytes: messages().filter(|message| message.holder.is_none()).map(bytes).sum(),
            messages_unacked: messages().filter(|message| message.holder.is_some()).count() as u64,
            messages_unacked_bytes: messages().filter(|message| message.holder.is_some()).map(bytes).sum(),
            ..Totals::default()
        }
    }

    /// Whether a consumer may get a message now. What it holds counts until it is settled for good.
    fn has_credit(&self, number: u64, window: u64) -> bool {
        let consumer = &self.consumers[&number];
        let session = &self.sessions[&consumer.client];
        let of_session = session.held.values().filter(|held| held.consumer.is_some()).count();
        let own = session.held.values().filter(|held| held.consumer == Some(number)).count();
        let is_below = |held: usize, limit: u16| limit == 0 || held < usize::from(limit);
        let has_credit = is_below(own, consumer.prefetch) && is_below(of_session, session.shared_prefetch);
        (consumer.no_ack || has_credit) && self.unsent[consumer.client.connection] < window
    }
}

impl Conversation {
    /// Compares what everyone is told: first what the model says of the operation itself, then nothing but deliveries.
    /// `journals` says that the operation changed what is durable; `before` is the last entry in front of it.
    pub(crate) fn hear(&mut self, journals: bool, before: Lsn) {
        let mut told = std::mem::take(&mut self.model.told).into_iter();
        for addressed in std::mem::take(&mut self.world.effects) {
            match told.next() {
                Some((client, told)) => {
                    self.compare(client, told, &addressed);
                    self.check_position(&addressed, journals, before);
                }
                None => self.deliver(&addressed),
            }
        }
        assert_eq!(told.next(), None, "somebody was not told");
        self.check_rest();
    }

    fn compare(&mut self, client: Client, told: Told, addressed: &Addressed) {
        let is_disconnected = matches!(addressed.effect, Effect::Disconnected);
        let expected = match is_disconnected {
            true => Recipient::Connection(self.session_id(client).connection),
            false => Recipient::Session(self.session_id(client)),
        };
        assert_eq!(addressed.to, expected, "{addressed:?} instead of {told:?}");
        let number = |envelope: &broker::Envelope| number(envelope.body());
        let heard = match (&addressed.effect, &told) {
            (Effect::Answered { answer, .. }, _) => Told::Answered(answer.clone()),
            (Effect::Refused { refusal, .. }, _) => Told::Refused((**refusal).clone()),
            (Effect::Confirmed { up_to }, _) => Told::Confirmed(*up_to),
            (Effect::Returned { envelope }, _) => {
                self.model.unsent[client.connection] += envelope.stored_bytes() as u64;
                Told::Returned(number(envelope))
            }
            (Effect::Replied { consumer_tag, delivery_tag, envelope }, _) => {
                self.model.unsent[client.connection] += envelope.stored_bytes() as u64;
                let (tag, delivery_tag) = (consumer_tag.clone(), *delivery_tag);
                Told::Replied { tag, delivery_tag, message: number(envelope) }
            }
            (Effect::ConsumerCancelled { consumer_tag }, _) => Told::Cancelled(consumer_tag.clone()),
            (Effect::Disconnected, _) => Told::Disconnected,
            (
                Effect::Got { delivery_tag, redelivered, remaining, message, .. },
                Told::Got { queue, no_ack },
            ) => {
                let (queue, no_ack) = (*queue, *no_ack);
                self.hand_over(client, queue, None, no_ack, *delivery_tag, *redelivered, *message);
                assert_eq!(*remaining, self.model.ready(queue));
                Told::Got { queue, no_ack }
            }
            (other, _) => panic!("{other:?} instead of {told:?}"),
        };
        assert_eq!(heard, told);
    }

    /// Promise P1: an answer waits for all that makes it true, a confirm for its own message and nothing else.
    fn check_position(&self, addressed: &Addressed, journals: bool, before: Lsn) {
        let last = self.last_entry();
        match &addressed.effect {
            Effect::Answered { answer: Answer::GetEmpty | Answer::Echoed, .. } => {
                assert_eq!(addressed.after, Lsn::NONE)
            }
            Effect::Confirmed { .. } => {
                assert_eq!(addressed.after, if journals { last } else { Lsn::NONE }, "{addressed:?}");
            }
            Effect::Answered { .. } | Effect::Refused { .. } | Effect::Disconnected => {
                let least = if journals { last } else { before };
                assert!(addressed.after >= least && addressed.after <= last, "{addressed:?}, not {least:?}");
            }
            _ => {}
        }
    }

    fn deliver(&mut self, addressed: &Addressed) {
        let Effect::Deliver { consumer_tag, delivery_tag, redelivered, message, .. } = &addressed.effect
        else {
            panic!("nobody asked for {addressed:?}")
        };
        let Recipient::Session(to) = addressed.to else { panic!("{addressed:?}") };
        let is_meant = |consumer: &super::state::Consumer| {
            consumer.tag == *consumer_tag && self.session_id(consumer.client) == to
        };
        let found = self.model.consumers.iter().find(|(_, consumer)| is_meant(consumer));
        let (&number, consumer) = found.unwrap_or_else(|| panic!("no consumer for {addressed:?}"));
        let (client, queue, no_ack) = (consumer.client, consumer.queue, consumer.no_ack);
        assert!(self.model.has_credit(number, super::WINDOW_BYTES), "too much for {consumer_tag} of {to:?}");
        self.hand_over(client, queue, Some(number), no_ack, *delivery_tag, *redelivered, *message);
    }

    /// A delivery has to be the first ready message of its queue (P5), which nobody holds (P4), and says exactly if it was
    /// delivered before.
    #[expect(clippy::too_many_arguments, reason = "they are what a delivery says")]
    fn hand_over(
        &mut self,
        client: Client,
        queue: u64,
        consumer: Option<u64>,
        no_ack: bool,
        tag: u64,
        redelivered: bool,
        message: StoredMessage,
    ) {
        let number = number(self.world.envelope(message).body());
        self.model.unsent[client.connection] += u64::from(message.stored_bytes);
        self.model.counters.delivered += 1;
        self.model.counters.redelivered += u64::from(redelivered);
        let session = self.model.session(client);
        session.last_tag += 1;
        assert_eq!(tag, session.last_tag, "tags count from 1");
        if !no_ack {
            session.held.insert(tag, Held { queue, consumer });
        }
        let messages = &mut self.model.queues.get_mut(&queue).expect("a consumer has a queue").messages;
        let at = messages.iter().position(|message| message.holder.is_none()).expect("a ready message");
        assert_eq!(messages[at].number, number, "the first ready message comes first");
        assert_eq!(messages[at].delivered, redelivered, "redelivered of {number}");
        let is_journaled = matches!(message.place.home(), Home::Entry(_));
        assert_eq!(messages[at].journaled, is_journaled, "what lies in the journal");
        if no_ack {
            messages.remove(at);
        } else {
            messages[at].delivered = true;
            messages[at].holder = Some((client, tag));
        }
    }

    fn check_rest(&self) {
        let (model, broker) = (&self.model, &self.world.broker);
        assert_eq!(broker.totals(), model.totals());
        assert_eq!(*broker.counters(), model.counters);
        let messages = model.queues.values().flat_map(|queue| &queue.messages);
        let transient = messages.filter(|message| !message.journaled).count();
        assert_eq!(self.world.transient_messages() as usize, transient);
        for (number, consumer) in &model.consumers {
            let starves = model.has_credit(*number, super::WINDOW_BYTES) && model.ready(consumer.queue) > 0;
            assert!(!starves, "{} of {:?} starves", consumer.tag, consumer.client);
        }
    }

    /// What a restart would find, against the model and against the state in memory.
    pub(crate) fn check_durable(&self) {
        let view = self.world.check_replay();
        let name_of = |number: broker::QueueNumber| {
            let found = view.queues.iter().find(|queue| queue.definition.number == number);
            found.expect("a binding leads to a queue").definition.name.to_string()
        };
        let queues = view.queues.iter().map(|queue| {
            let numbers = queue.messages.iter().map(|message| {
                let stored = StoredMessage { place: message.place, stored_bytes: message.stored_bytes };
                number(self.world.envelope(stored).body())
            });
            (queue.definition.name.to_string(), queue.definition.auto_delete, numbers.collect())
        });
        let mut bindings: Vec<Bound> = Vec::new();
        for binding in &view.bindings {
            let to = match &binding.destination {
                broker::Destination::Queue(number) => {
                    Node::Queue(self.model.queue_named(&name_of(*number)).expect("a queue of the model"))
                }
                broker::Destination::Exchange(name) => Node::Exchange(name.to_string()),
            };
            let key = binding.routing_key.to_string();
            let arguments = binding.arguments.clone();
            bindings.push(Bound { source: binding.source.to_string(), to, key, arguments });
        }
        let exchanges = view.exchanges.iter().map(|exchange| Exchange {
            name: exchange.name.to_string(),
            kind: exchange.kind.to_string(),
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
        });
        let mut expected = self.model.picture();
        for list in [&mut bindings, &mut expected.bindings] {
            list.sort_by_cached_key(|bound| format!("{bound:?}"));
        }
        let found = Picture { exchanges: exchanges.collect(), bindings, queues: queues.collect() };
        assert_eq!(found, expected);
    }

    pub(crate) fn session_id(&self, client: Client) -> SessionId {
        let connection = broker::ConnectionId(self.model.connections[client.connection]);
        SessionId { connection, channel: client.channel }
    }

    pub(crate) fn last_entry(&self) -> Lsn {
        self.world.entries.last().map_or(Lsn::NONE, |(lsn, _)| *lsn)
    }
}

impl Session {
    /// Takes nothing before it is opened again.
    pub(crate) fn is_over(&self) -> bool {
        self.refused
    }
}

fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).expect("a number").parse().expect("a number")
}
