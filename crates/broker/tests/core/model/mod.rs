//! Any conversation against a simple model, and every one of them against its replay.
//!
//! The model knows what there is, in plain lists, and says what each operation answers. It does not predict who gets a
//! message, but judges each delivery: it must be the first ready message of its queue (P5), held by nobody (P4), marked as
//! redelivered exactly if it was delivered before, and within the limits of its consumer; and after every operation no message
//! may be ready while a consumer has credit. Answers and confirms must wait for what makes them true (P1), and every
//! count must be right (P9).
//!
//! Nothing here is random: the tests draw steps out of random bytes, the fuzz target `core_model` out of better ones.

mod judge;
mod operations;
mod state;
mod step;
mod topology;

use broker::{Answer, Command, Consume, Envelope, Lsn, Operation, Settings};

use self::operations::{Reply, reply_address};
use self::state::{Model, Session, Told};
pub(crate) use self::step::{Client, Publication, Restart, Step};
use crate::rows::Checkpoint;
use crate::world::{World, name, replay};

/// So small that some messages fill it.
const WINDOW_BYTES: u64 = 400;

/// Steps of one conversation that come out of bytes: more would find little more, and slowly.
pub(crate) const STEPS_MAX: usize = 250;

/// A conversation of the world, as the model follows it.
struct Conversation {
    world: World,
    model: Model,
    /// The last checkpoint.
    checkpoint: Option<Checkpoint>,
}

/// Takes the steps that these bytes are.
pub(crate) fn check_bytes(bytes: &[u8]) {
    check(&Step::decode_all(bytes, STEPS_MAX), 16);
}

/// Takes the steps, and replays the journal after each of so many.
pub(crate) fn check(steps: &[Step], replay_every: usize) {
    let mut conversation = Conversation::begin();
    for (number, step) in steps.iter().enumerate() {
        conversation.take(step.clone());
        if number % replay_every == 0 {
            conversation.check_durable();
        }
    }
    conversation.check_durable();
    conversation.check_checkpoint();
}

impl Conversation {
    /// Three queues that are bound to `amq.fanout`, a client that confirms, one with transactions and one with a prefetch.
    fn begin() -> Self {
        let world = World::with(Settings { delivery_window_bytes: WINDOW_BYTES, ..Settings::default() });
        let mut conversation = Self { world, model: Model::new(), checkpoint: None };
        (0..step::CONNECTIONS).for_each(|connection| conversation.connect(connection));
        let [confirming, transactional, prefetching] = FIRST_CLIENTS;
        for queue in ["durable", "other", "memory"] {
            let declare = broker::DeclareQueue {
                name: name(queue),
                generated: false,
                passive: false,
                durable: queue != "memory",
                exclusive: false,
                auto_delete: false,
                arguments: field_table::Table::default(),
            };
            conversation.ask(prefetching, Operation::DeclareQueue(declare));
            let bind = crate::world::binding("amq.fanout", "", queue, field_table::Table::default());
            conversation.ask(prefetching, Operation::BindQueue(bind));
        }
        conversation.ask(confirming, Operation::SelectConfirm);
        conversation.ask(transactional, Operation::SelectTransaction);
        conversation.ask(prefetching, Operation::SetPrefetch { count: 2, shared: false });
        conversation
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish(by, publication) => self.publish(by, publication),
            Step::Reply(by, to) => {
                let key = reply_address(to);
                let headers = field_table::Table::default();
                let publication =
                    Publication { exchange: "", key, headers, persistent: true, mandatory: true };
                self.publish(by, publication);
            }
            Step::Settle { by, which, multiple, outcome } => {
                let open = self.model.open_tags(by);
                // Now and then all, or one that is not there.
                let delivery_tag = match usize::from(which) {
                    255 => 1000,
                    254 => 0,
                    _ if open.is_empty() => return,
                    which => open[which % open.len()],
                };
                let operation = Operation::Settle { delivery_tag, multiple, outcome };
                self.converse(by, operation, |model| {
                    model.settle_or_collect(by, delivery_tag, multiple, outcome)
                });
            }
            Step::Ask(by, operation) => self.ask(by, operation),
            Step::Disconnect { connection, lost } => {
                self.disconnect(connection, lost);
                self.connect(connection);
            }
            Step::Sent { connection, bytes } => {
                let unsent = &mut self.model.unsent[connection];
                *unsent = unsent.saturating_sub(bytes);
                let connection = broker::ConnectionId(self.model.connections[connection]);
                self.world.send(Command::Sent { connection, bytes });
                self.hear(false, Lsn::NONE);
            }
            Step::Seal => {
                let checkpoint = self.world.checkpoint();
                let restored = checkpoint.rows.restored(Settings::default());
                assert_eq!(restored.durable_view(), self.world.broker.durable_view());
                self.checkpoint = Some(checkpoint);
            }
            Step::Restart(restart) => self.restart(restart),
        }
    }

    fn publish(&mut self, by: Client, publication: Publication) {
        let message = self.model.number();
        let mut properties = Vec::new();
        publication.headers.encode(&mut properties);
        let Publication { exchange, key, persistent, mandatory, .. } = publication.clone();
        let body = message.to_string();
        let publish = broker::Publish {
            envelope: Envelope::new(exchange.as_bytes(), key.as_bytes(), &properties, body.as_bytes()),
            mandatory,
            persistent,
            headers: Some(0..properties.len() as u32),
        };
        self.converse(by, Operation::Publish(publish), |model| model.publish(by, message, publication));
    }

    fn ask(&mut self, by: Client, operation: Operation) {
        match operation {
            Operation::OpenSession => self.open(by),
            Operation::CloseSession => self.close(by),
            Operation::Consume(consume) => {
                let reply_address = consume.reply_address.as_ref().map(|_| name(&reply_address(by)));
                let operation = Operation::Consume(Consume { reply_address, ..consume });
                self.converse(by, operation.clone(), |model| model.ask(by, &operation));
            }
            operation => self.converse(by, operation.clone(), |model| model.ask(by, &operation)),
        }
    }

    /// Lets a client do something, and the model say what comes of it. A client that is refused notices it late, and
    /// begins anew.
    fn converse(&mut self, by: Client, operation: Operation, predict: impl FnOnce(&mut Model) -> Reply) {
        if !self.model.sessions.contains_key(&by) {
            self.open(by);
        }
        let before = self.model.picture();
        match predict(&mut self.model) {
            Ok(Some(answer)) => self.model.told.push((by, Told::Answered(answer))),
            Ok(None) => {}
            Err(refusal) => {
                self.model.end_session(by);
                self.model.told.push((by, Told::Refused(refusal)));
            }
        }
        self.send(by, operation, before);
        if self.model.session(by).is_over() {
            let before = self.model.picture();
            self.send(by, Operation::Echo, before);
            self.close(by);
        }
    }

    fn send(&mut self, by: Client, operation: Operation, before: judge::Picture) {
        let (journals, last) = (self.model.picture() != before, self.last_entry());
        self.world.session_send(self.session_id(by), operation);
        self.hear(journals, last);
    }

    fn open(&mut self, by: Client) {
        let before = self.model.picture();
        self.model.end_session(by);
        self.model.sessions.insert(by, Session::default());
        self.model.counters.sessions_opened += 1;
        self.model.told.push((by, Told::Answered(Answer::SessionOpened)));
        self.send(by, Operation::OpenSession, before);
    }

    fn close(&mut self, by: Client) {
        let before = self.model.picture();
        self.model.end_session(by);
        self.model.sessions.remove(&by);
        self.model.told.push((by, Told::Answered(Answer::SessionClosed)));
        self.send(by, Operation::CloseSession, before);
    }

    fn connect(&mut self, connection: usize) {
        let connection = broker::ConnectionId(self.model.connections[connection]);
        self.world.send(Command::Connect { connection, user: name("guest") });
        self.model.counters.connections_opened += 1;
    }

    fn disconnect(&mut self, connection: usize, lost: bool) {
        let (before, last) = (self.model.picture(), self.last_entry());
        self.model.end_connection(connection);
        self.model.told.push((Client { connection, channel: 1 }, Told::Disconnected));
        let id = broker::ConnectionId(self.model.connections[connection]);
        self.world.send(Command::Disconnect { connection: id, lost });
        self.hear(self.model.picture() != before, last);
        // Numbers of connections are never used again.
        self.model.connections[connection] += step::CONNECTIONS as u64;
    }

    fn restart(&mut self, how: Restart) {
        if how == Restart::Cleanly {
            (0..step::CONNECTIONS).for_each(|connection| self.disconnect(connection, false));
            self.take(Step::Seal);
        }
        if how == Restart::FromJournal {
            // It had not become durable, so nobody will ever see it again.
            self.checkpoint = None;
        }
        let world = std::mem::replace(&mut self.world, World::new());
        self.world = World::restarted(world, self.checkpoint.as_ref(), how == Restart::Cleanly);
        self.model.restart(how != Restart::Cleanly);
        self.check_durable();
        (0..step::CONNECTIONS).for_each(|connection| self.connect(connection));
    }

    fn check_checkpoint(&self) {
        let Some(checkpoint) = &self.checkpoint else { return };
        let mut broker = checkpoint.rows.restored(Settings::default());
        replay(&mut broker, &self.world.entries[checkpoint.entries..]);
        let view = self.world.broker.durable_view();
        assert_eq!(broker.durable_view(), view, "a checkpoint and the tail behind it are the whole log");
        let messages: usize = view.queues.iter().map(|queue| queue.messages.len()).sum();
        assert_eq!(broker.totals().messages_ready, messages as u64);
    }
}

/// A client on each connection.
pub(crate) const FIRST_CLIENTS: [Client; 3] = [
    Client { connection: 0, channel: 1 },
    Client { connection: 1, channel: 1 },
    Client { connection: 2, channel: 1 },
];
