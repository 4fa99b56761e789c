//! A client's turn: all that an operation may touch.

use amqp_wire::hot::{self, Publication};
use amqp_wire::{Method, Properties, ShortString};

use super::channel::{Asked, Collected, Request, Unconfirmed, tags_meant};
use super::{Channel, Client, Mode};
use crate::messages::{Message, MessageId, Messages, Settled};
use crate::model::Ending;
use crate::plan::Plan;
use crate::random::Random;

/// A client that does something on one of its channels.
pub struct Turn<'a> {
    /// The client.
    pub client: &'a mut Client,
    /// The channel.
    pub number: u16,
    /// Chance.
    pub random: &'a mut Random,
    /// All messages.
    pub messages: &'a mut Messages,
    /// The choices of the run.
    pub plan: &'a Plan,
}

/// A publish.
#[derive(Clone, Debug)]
pub struct Publishing<'a> {
    /// The exchange; empty for the default one.
    pub exchange: &'a str,
    /// The routing key.
    pub key: &'a str,
    /// Its delivery mode is 2.
    pub persistent: bool,
    /// It is to be returned if no queue takes it.
    pub mandatory: bool,
    /// Further properties.
    pub properties: Properties,
    /// A task, its result, or what follows from it.
    pub is_of_tasks: bool,
}

impl<'a> Publishing<'a> {
    /// A persistent message for a queue.
    #[must_use]
    pub fn to(queue: &'a str) -> Self {
        Self {
            exchange: "",
            key: queue,
            persistent: true,
            mandatory: false,
            properties: Properties::default(),
            is_of_tasks: false,
        }
    }

    /// The same for what belongs to tasks.
    #[must_use]
    pub fn of_tasks_to(queue: &'a str) -> Self {
        Self { is_of_tasks: true, ..Self::to(queue) }
    }
}

impl Turn<'_> {
    /// The channel.
    pub fn channel(&mut self) -> &mut Channel {
        self.client.channels.entry(self.number).or_default()
    }

    /// Sends a request and notes that its answer is due. What was settled on the channel before is safe with the answer.
    pub fn ask(&mut self, request: Request, method: impl Into<Method>) {
        let channel = self.channel();
        // Messages that are looked for rest on themselves alone, and an end that is not answered proves nothing.
        let proves = match request {
            Request::Get { .. } => Vec::new(),
            _ => std::mem::take(&mut channel.settled),
        };
        let ends = match request {
            Request::Commit | Request::Rollback => std::mem::take(&mut channel.collected),
            _ => Collected::default(),
        };
        channel.asked.push_back(Asked { request, proves, ends });
        let number = self.number;
        self.client.send(number, method);
    }

    /// Publishes a new message. Its number and its body.
    pub fn publish(&mut self, publishing: &Publishing<'_>) -> (MessageId, Vec<u8>) {
        let bytes = match self.random.percent(80) {
            true => self.random.below(60),
            false => self.random.below(self.plan.body_bytes_max),
        };
        let message = Message {
            queue: publishing.exchange.is_empty().then(|| publishing.key.to_owned()),
            persistent: publishing.persistent,
            line: self.client.line,
            channel: self.number,
            confirmed: false,
            refused: false,
            settled: Settled::No,
            delivered: false,
            is_of_tasks: publishing.is_of_tasks,
            is_keyed: false,
        };
        let (id, body) = self.messages.publish(message, bytes as usize);
        self.publish_body(publishing, id, &body);
        (id, body)
    }

    /// Publishes a body that is there already.
    pub fn publish_body(&mut self, publishing: &Publishing<'_>, id: MessageId, body: &[u8]) {
        let channel = self.channel();
        match channel.mode {
            Mode::Plain => {}
            Mode::Confirm => {
                channel.published += 1;
                let proves = std::mem::take(&mut channel.settled);
                channel.unconfirmed.insert(channel.published, Unconfirmed { message: id, proves });
            }
            Mode::Transaction => channel.collected.published.push(id),
        }
        self.send_content(publishing, body);
    }

    /// Sends a message that nobody follows.
    pub fn send_content(&mut self, publishing: &Publishing<'_>, body: &[u8]) {
        let delivery_mode = if publishing.persistent { Some(2) } else { None };
        let properties = Properties { delivery_mode, ..publishing.properties.clone() }.to_bytes();
        let publication = Publication {
            exchange: publishing.exchange.as_bytes(),
            routing_key: publishing.key.as_bytes(),
            mandatory: publishing.mandatory,
        };
        let content = hot::Content { properties: &properties, body };
        hot::publish(&mut self.client.output, self.number, 4096, &publication, content);
    }

    /// Settles a delivery, or all up to it.
    pub fn settle(&mut self, tag: u64, multiple: bool, ending: Ending) {
        let channel = self.channel();
        let tags = tags_meant(&channel.held, tag, multiple);
        let mut removed = Vec::new();
        for tag in tags {
            let Some(held) = channel.held.remove(&tag) else { continue };
            if ending == Ending::Removed {
                removed.extend(held.message);
            }
            if channel.mode == Mode::Transaction {
                channel.collected.settled.push((tag, held, ending == Ending::Removed));
            }
        }
        if channel.mode != Mode::Transaction {
            channel.settled.extend(removed.iter().copied());
        }
        for id in removed {
            let message = &mut self.messages[id];
            message.settled = message.settled.max(Settled::Asked);
        }
        match ending {
            Ending::Removed => hot::ack(&mut self.client.output, self.number, tag, multiple),
            Ending::Requeued => hot::nack(&mut self.client.output, self.number, tag, multiple, true),
        }
    }

    /// Lets go of the delivery of a task. What becomes of the task's message is not for who settles it to say.
    pub fn let_go(&mut self, tag: u64) {
        let channel = self.channel();
        let Some(held) = channel.held.remove(&tag) else { return };
        if channel.mode == Mode::Transaction {
            channel.collected.settled.push((tag, held, false));
        }
    }

    /// A tag of the channel that is not settled.
    pub fn any_held(&mut self) -> Option<u64> {
        let held: Vec<u64> = self.channel().held.keys().copied().collect();
        (!held.is_empty()).then(|| *self.random.pick(&held))
    }
}

/// A name.
///
/// # Panics
/// If it is longer than 255 bytes.
#[must_use]
pub fn name(text: &str) -> ShortString {
    ShortString::try_from(text.as_bytes()).expect("names here are short")
}
