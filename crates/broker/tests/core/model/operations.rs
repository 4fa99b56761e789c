//! What becomes of an operation, before anything is delivered.

use broker::{
    Answer, Binding, Consume, DeclareExchange, DeclareQueue, Described, Operation, Outcome, Refusal, Resource,
};
use field_table::ShortString;

use super::state::{Consumer, Mode, Model, Queue, Session, Told, Transaction};
use super::step::{Client, Publication};
use super::topology::{Exchange, Node, text};
use crate::world::name;

/// What an operation answers: a positive answer, or nothing of its own.
pub(crate) type Reply = Result<Option<Answer>, Refusal>;

/// The address under which direct replies reach a client.
pub(crate) fn reply_address(client: Client) -> String {
    format!("amq.rabbitmq.reply-to.{}-{}", client.connection, client.channel)
}

impl Model {
    pub(crate) fn ask(&mut self, by: Client, operation: &Operation) -> Reply {
        match operation {
            Operation::Get { queue, no_ack } => self.get(by, queue, *no_ack),
            Operation::Consume(consume) => self.consume(by, consume),
            Operation::Cancel { tag } => self.cancel(by, tag),
            Operation::SetPrefetch { count, shared } => {
                let session = self.session(by);
                let limit =
                    if *shared { &mut session.shared_prefetch } else { &mut session.consumer_prefetch };
                *limit = *count;
                Ok(Some(Answer::PrefetchSet))
            }
            Operation::Recover => {
                let tags = self.open_tags(by);
                self.settle(by, &tags, Outcome::Requeued);
                Ok(Some(Answer::Recovered))
            }
            Operation::DeclareQueue(declare) => self.declare_queue(by, declare),
            Operation::DeleteQueue { name, if_unused, if_empty } => {
                self.delete_queue(by, name, *if_unused, *if_empty)
            }
            Operation::PurgeQueue { name } => self.purge(by, name),
            Operation::DeclareExchange(declare) => self.declare_exchange(declare),
            Operation::DeleteExchange { name, if_unused } => self.delete_exchange(name, *if_unused),
            Operation::BindQueue(binding) => self.bind_queue(by, binding),
            Operation::UnbindQueue(binding) => self.unbind_queue(by, binding),
            Operation::BindExchange(binding) => self.bind_exchange(binding),
            Operation::UnbindExchange(binding) => {
                self.topology.unbind(binding, Node::Exchange(text(&binding.destination)));
                Ok(Some(Answer::ExchangeUnbound))
            }
            Operation::SelectConfirm => match &mut self.session(by).mode {
                Mode::Transaction(_) => Err(Refusal::TransactionToConfirm),
                Mode::Confirm { .. } => Ok(Some(Answer::ConfirmSelected)),
                mode => {
                    *mode = Mode::Confirm { published: 0 };
                    Ok(Some(Answer::ConfirmSelected))
                }
            },
            Operation::SelectTransaction => match &mut self.session(by).mode {
                Mode::Confirm { .. } => Err(Refusal::ConfirmToTransaction),
                Mode::Transaction(_) => Ok(Some(Answer::TransactionSelected)),
                mode => {
                    *mode = Mode::Transaction(Transaction::default());
                    Ok(Some(Answer::TransactionSelected))
                }
            },
            Operation::Commit => self.commit(by),
            Operation::Rollback => {
                self.take_transaction(by)?;
                Ok(Some(Answer::RolledBack))
            }
            Operation::Echo => Ok(Some(Answer::Echoed)),
            other => panic!("no step asks for {other:?}"),
        }
    }

    pub(crate) fn session(&mut self, by: Client) -> &mut Session {
        self.sessions.get_mut(&by).expect("it was opened before it asked")
    }

    pub(crate) fn publish(&mut self, by: Client, message: u64, publication: Publication) -> Reply {
        if !publication.exchange.is_empty() {
            let missing =
                || Refusal::NotFound(Resource::Exchange(ShortString::from_static(publication.exchange)));
            if self.topology.exchange(publication.exchange).ok_or_else(missing)?.internal {
                return Err(Refusal::InternalExchange {
                    exchange: ShortString::from_static(publication.exchange),
                });
            }
        }
        match &mut self.session(by).mode {
            Mode::Transaction(open) => open.publishes.push((message, publication)),
            Mode::Confirm { published } => {
                *published += 1;
                let sequence = *published;
                self.accept(by, message, &publication);
                self.counters.confirmed += 1;
                self.told.push((by, Told::Confirmed(sequence)));
            }
            Mode::Plain => self.accept(by, message, &publication),
        }
        Ok(None)
    }

    fn accept(&mut self, by: Client, message: u64, publication: &Publication) {
        self.counters.published += 1;
        let Publication { exchange, key, headers, persistent, mandatory } = publication;
        if exchange.is_empty() && key.starts_with("amq.rabbitmq.reply-to.") {
            return self.reply(message, key);
        }
        let routed = match *exchange {
            "" => self.queue_named(key).into_iter().collect(),
            exchange => self.topology.route(exchange, key, headers),
        };
        if !routed.is_empty() {
            self.counters.routed += 1;
            self.enqueue(message, *persistent, &routed);
        } else if *mandatory {
            self.counters.unroutable_returned += 1;
            self.told.push((by, Told::Returned(message)));
        } else {
            self.counters.unroutable_dropped += 1;
        }
    }

    fn reply(&mut self, message: u64, address: &str) {
        let waits = |(client, session): &(&Client, &mut Session)| {
            session.reply_tag.is_some() && reply_address(**client) == address
        };
        let Some((&to, session)) = self.sessions.iter_mut().find(waits) else {
            self.counters.replies_dropped += 1;
            return;
        };
        self.counters.routed += 1;
        session.last_tag += 1;
        let tag = session.reply_tag.clone().expect("it waits");
        self.told.push((to, Told::Replied { tag, delivery_tag: session.last_tag, message }));
    }

    fn take_transaction(&mut self, by: Client) -> Result<Transaction, Refusal> {
        match &mut self.session(by).mode {
            Mode::Transaction(open) => Ok(std::mem::take(open)),
            _ => Err(Refusal::NotTransactional),
        }
    }

    fn commit(&mut self, by: Client) -> Reply {
        let Transaction { publishes, settled } = self.take_transaction(by)?;
        for (message, publication) in &publishes {
            self.accept(by, *message, publication);
        }
        for (tag, outcome) in settled {
            self.settle(by, &[tag], outcome);
        }
        Ok(Some(Answer::Committed))
    }

    pub(crate) fn settle_or_collect(
        &mut self,
        by: Client,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
    ) -> Reply {
        let open = self.open_tags(by);
        let is_all = multiple && tag == 0;
        if !is_all && !open.contains(&tag) {
            return Err(Refusal::UnknownDeliveryTag { delivery_tag: tag });
        }
        let is_meant = |other: &u64| is_all || *other == tag || multiple && *other < tag;
        let tags: Vec<u64> = open.into_iter().filter(is_meant).collect();
        match &mut self.session(by).mode {
            Mode::Transaction(open) => open.settled.extend(tags.iter().map(|tag| (*tag, outcome))),
            _ => self.settle(by, &tags, outcome),
        }
        Ok(None)
    }

    /// A queue that the connection may use.
    fn usable(&self, by: Client, queue: &ShortString) -> Result<u64, Refusal> {
        let number = self.queue_named(&text(queue));
        let number = number.ok_or_else(|| Refusal::NotFound(Resource::Queue(queue.clone())))?;
        match self.queues[&number].owner {
            Some(owner) if owner != by.connection => Err(Refusal::Locked { queue: queue.clone() }),
            _ => Ok(number),
        }
    }

    fn get(&mut self, by: Client, queue: &ShortString, no_ack: bool) -> Reply {
        let queue = self.usable(by, queue)?;
        if self.ready(queue) == 0 {
            self.counters.get_empty += 1;
            return Ok(Some(Answer::GetEmpty));
        }
        self.told.push((by, Told::Got { queue, no_ack }));
        Ok(None)
    }

    fn consume(&mut self, by: Client, consume: &Consume) -> Reply {
        let for_replies = consume.reply_address.is_some();
        let session = self.session(by);
        let (prefetch, reply_tag) = (session.consumer_prefetch, session.reply_tag.clone());
        if for_replies && reply_tag.is_some() {
            return Err(Refusal::ReplyConsumerExists);
        }
        let is_taken = |other: &Consumer| other.client == by && other.tag == consume.tag;
        if reply_tag.as_ref() == Some(&consume.tag) || self.consumers.values().any(is_taken) {
            return Err(Refusal::ConsumerTagInUse { tag: consume.tag.clone() });
        }
        if for_replies {
            if !consume.no_ack {
                return Err(Refusal::ReplyConsumerAcknowledges);
            }
            self.session(by).reply_tag = Some(consume.tag.clone());
        } else {
            let queue = self.usable(by, &consume.queue)?;
            let excludes = |other: &Consumer| other.exclusive || consume.exclusive;
            if self.consumers_of(queue).any(excludes) {
                return Err(Refusal::InExclusiveUse { queue: consume.queue.clone() });
            }
            let Consume { tag, no_ack, exclusive, .. } = consume.clone();
            let number = self.number();
            let consumer = Consumer { client: by, tag, queue, no_ack, exclusive, prefetch };
            self.consumers.insert(number, consumer);
        }
        Ok(Some(Answer::ConsumerStarted { tag: consume.tag.clone() }))
    }

    fn cancel(&mut self, by: Client, tag: &ShortString) -> Reply {
        if self.session(by).reply_tag.take_if(|reply| reply == tag).is_none() {
            let is_meant = |consumer: &Consumer| consumer.client == by && consumer.tag == *tag;
            let found = self.consumers.iter().find(|(_, consumer)| is_meant(consumer));
            if let Some(number) = found.map(|(number, _)| *number) {
                self.remove_consumer(number);
            }
        }
        Ok(Some(Answer::ConsumerStopped { tag: tag.clone() }))
    }

    fn declare_queue(&mut self, by: Client, declare: &DeclareQueue) -> Reply {
        let resource = || Resource::Queue(declare.name.clone());
        if !declare.passive && declare.name.starts_with(b"amq.") {
            return Err(Refusal::ReservedName(resource()));
        }
        let number = match self.queue_named(&text(&declare.name)) {
            Some(number) => {
                self.usable(by, &declare.name)?;
                let queue = &self.queues[&number];
                if !declare.passive {
                    if declare.exclusive != queue.owner.is_some() {
                        return Err(Refusal::Locked { queue: declare.name.clone() });
                    }
                    let durable = declare.durable && !declare.exclusive;
                    same(resource(), "durable", durable, queue.durable)?;
                    same(resource(), "auto_delete", declare.auto_delete, queue.auto_delete)?;
                }
                number
            }
            None if declare.passive => return Err(Refusal::NotFound(resource())),
            None => {
                let number = self.number();
                self.counters.queues_created += 1;
                let queue = Queue {
                    name: text(&declare.name),
                    durable: declare.durable && !declare.exclusive,
                    auto_delete: declare.auto_delete,
                    owner: declare.exclusive.then_some(by.connection),
                    messages: Vec::new(),
                };
                self.queues.insert(number, queue);
                number
            }
        };
        let (messages, consumers) = (self.ready(number), self.consumers_of(number).count() as u64);
        Ok(Some(Answer::QueueDeclared { name: declare.name.clone(), messages, consumers }))
    }

    fn delete_queue(&mut self, by: Client, name: &ShortString, if_unused: bool, if_empty: bool) -> Reply {
        let number = match self.usable(by, name) {
            Err(Refusal::NotFound(_)) => return Ok(Some(Answer::QueueDeleted { messages: 0 })),
            other => other?,
        };
        if if_unused && self.consumers_of(number).next().is_some() {
            return Err(Refusal::InUse(Resource::Queue(name.clone())));
        }
        let messages = self.ready(number);
        if if_empty && messages > 0 {
            return Err(Refusal::NotEmpty { queue: name.clone() });
        }
        self.remove_queue(number);
        Ok(Some(Answer::QueueDeleted { messages }))
    }

    fn purge(&mut self, by: Client, name: &ShortString) -> Reply {
        let number = self.usable(by, name)?;
        let messages = self.ready(number);
        self.counters.messages_purged += messages;
        let queue = self.queues.get_mut(&number).expect("just found");
        queue.messages.retain(|message| message.holder.is_some());
        Ok(Some(Answer::QueuePurged { messages }))
    }

    fn declare_exchange(&mut self, declare: &DeclareExchange) -> Reply {
        let resource = || Resource::Exchange(declare.name.clone());
        let is_kind = ["direct", "fanout", "topic", "headers"].contains(&&text(&declare.kind)[..]);
        if !declare.passive && !is_kind {
            return Err(Refusal::UnknownExchangeType { kind: declare.kind.clone() });
        }
        match self.topology.exchange(&text(&declare.name)) {
            Some(_) if declare.passive => {}
            Some(Exchange { kind, durable, auto_delete, internal, .. }) => {
                same(resource(), "type", text(&declare.kind), kind.clone())?;
                same(resource(), "durable", declare.durable, *durable)?;
                same(resource(), "auto_delete", declare.auto_delete, *auto_delete)?;
                same(resource(), "internal", declare.internal, *internal)?;
            }
            None if declare.passive => return Err(Refusal::NotFound(resource())),
            None if declare.name.starts_with(b"amq.") => return Err(Refusal::ReservedName(resource())),
            None => self.topology.declare(declare),
        }
        Ok(Some(Answer::ExchangeDeclared))
    }

    fn delete_exchange(&mut self, name: &ShortString, if_unused: bool) -> Reply {
        if name.starts_with(b"amq.") {
            return Err(Refusal::SystemExchange { exchange: name.clone() });
        }
        if if_unused && self.topology.is_source(&text(name)) {
            return Err(Refusal::InUse(Resource::Exchange(name.clone())));
        }
        self.topology.delete(&text(name));
        Ok(Some(Answer::ExchangeDeleted))
    }

    fn existing_exchange(&self, name: &ShortString) -> Result<(), Refusal> {
        let found = self.topology.exchange(&text(name)).map(|_| ());
        found.ok_or_else(|| Refusal::NotFound(Resource::Exchange(name.clone())))
    }

    fn bind_queue(&mut self, by: Client, binding: &Binding) -> Reply {
        self.existing_exchange(&binding.source)?;
        let queue = self.usable(by, &binding.destination)?;
        self.topology.bind(binding, Node::Queue(queue))?;
        Ok(Some(Answer::QueueBound))
    }

    fn bind_exchange(&mut self, binding: &Binding) -> Reply {
        self.existing_exchange(&binding.source)?;
        self.existing_exchange(&binding.destination)?;
        self.topology.bind(binding, Node::Exchange(text(&binding.destination)))?;
        Ok(Some(Answer::ExchangeBound))
    }

    /// What is not there can be unbound by anyone.
    fn unbind_queue(&mut self, by: Client, binding: &Binding) -> Reply {
        let queue = self.queue_named(&text(&binding.destination)).map(Node::Queue);
        if let Some(queue) = queue.filter(|queue| self.topology.has(binding, queue.clone())) {
            self.usable(by, &binding.destination)?;
            self.topology.unbind(binding, queue);
        }
        Ok(Some(Answer::QueueUnbound))
    }
}

/// What is declared again has to be declared as it is.
fn same<T: PartialEq + ToString>(
    resource: Resource,
    argument: &str,
    received: T,
    current: T,
) -> Result<(), Refusal> {
    if received == current {
        return Ok(());
    }
    let described = |value: T| Some(Described { value: value.to_string(), type_name: None });
    let (received, current) = (described(received), described(current));
    Err(Refusal::Inequivalent { resource, argument: name(argument), received, current })
}
