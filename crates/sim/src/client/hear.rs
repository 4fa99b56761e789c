//! What a client makes of what it reads.

use amqp_wire::{Method, basic, channel, connection, queue};

use super::channel::{Asked, Channel, Collected, Held, Request, tags_meant};
use super::{Client, Content, Incoming, Mode, Phase};
use crate::messages::{MessageId, Messages, Settled};
use crate::violation::Violation;

/// Reply addresses that a channel remembers.
const ADDRESSES_MAX: usize = 20;

/// What a client has learnt.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// A request was answered; for those that count, with a number.
    Answered {
        /// On which channel.
        channel: u16,
        /// Which.
        request: Request,
        /// Messages, where the answer tells.
        count: Option<u32>,
    },
    /// Publishes are safe.
    Confirmed {
        /// On which channel.
        channel: u16,
        /// Which.
        messages: Vec<MessageId>,
    },
    /// A publish was not taken.
    Rejected {
        /// Which.
        message: MessageId,
    },
    /// A message for a consumer.
    Delivered {
        /// On which channel.
        channel: u16,
        /// Its tag.
        tag: u64,
        /// The queue.
        queue: String,
        /// What it is.
        body: Vec<u8>,
        /// It was delivered before.
        redelivered: bool,
    },
    /// A message that was asked for.
    Got {
        /// On which channel.
        channel: u16,
        /// Its tag.
        tag: u64,
        /// The queue.
        queue: String,
        /// What it is.
        body: Vec<u8>,
        /// It was delivered before.
        redelivered: bool,
        /// Ready messages left.
        remaining: u32,
    },
    /// There was none.
    Empty {
        /// On which channel.
        channel: u16,
        /// The queue.
        queue: String,
    },
    /// A publish met no queue.
    Returned,
    /// The server has closed a channel.
    Refused {
        /// Which.
        channel: u16,
        /// The code.
        code: u16,
        /// The text.
        text: String,
    },
    /// The server has closed the connection.
    Expelled {
        /// The code.
        code: u16,
        /// The text.
        text: String,
    },
}

/// What a client needs to understand what it reads.
pub struct Hearing<'a> {
    /// All messages.
    pub messages: &'a mut Messages,
    /// What it has learnt.
    pub heard: Vec<Heard>,
}

impl Client {
    /// Reads bytes.
    pub fn hear(&mut self, bytes: &[u8], hearing: &mut Hearing<'_>) -> Result<(), Violation> {
        let mut incoming = Vec::new();
        self.assembly.take(bytes, &mut incoming)?;
        for one in incoming {
            match one {
                Incoming::Message(number, content) => self.message(number, *content, hearing)?,
                Incoming::Method(_, Method::Connection(method)) => {
                    if let connection::Method::Close(close) = &method {
                        let (code, text) = (close.reply_code, close.reply_text.to_string());
                        hearing.heard.push(Heard::Expelled { code, text });
                    }
                    self.connection_method(&method);
                    if let connection::Method::CloseOk(_) = method {
                        self.phase = Phase::Offline;
                    }
                }
                Incoming::Method(number, method) => self.channel_method(number, method, hearing)?,
            }
        }
        Ok(())
    }

    fn channel_method(
        &mut self,
        number: u16,
        method: Method,
        hearing: &mut Hearing<'_>,
    ) -> Result<(), Violation> {
        match &method {
            Method::Channel(channel::Method::Close(close)) => {
                let (code, text) = (close.reply_code, close.reply_text.to_string());
                self.send(number, channel::CloseOk {});
                if let Some(channel) = self.channels.remove(&number) {
                    note_undone(&channel, hearing.messages);
                }
                hearing.heard.push(Heard::Refused { channel: number, code, text });
                Ok(())
            }
            Method::Basic(basic::Method::Ack(ack)) => {
                self.confirmed(number, ack.delivery_tag, ack.multiple, hearing)
            }
            Method::Basic(basic::Method::Nack(nack)) => {
                self.rejected(number, nack.delivery_tag, nack.multiple, hearing)
            }
            Method::Basic(basic::Method::Cancel(cancel)) => {
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.consumer_stopped(&cancel.consumer_tag.to_string());
                }
                Ok(())
            }
            _ => self.answered(number, &method, hearing),
        }
    }

    fn confirmed(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
        hearing: &mut Hearing<'_>,
    ) -> Result<(), Violation> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let tags = tags_meant(&channel.unconfirmed, tag, multiple);
        if tags.is_empty() {
            return Err(Violation::new(
                "P10",
                format!("publish {tag} was confirmed twice, or never published"),
            ));
        }
        let mut confirmed = Vec::new();
        for publish in tags.into_iter().filter_map(|tag| channel.unconfirmed.remove(&tag)) {
            let message = &mut hearing.messages[publish.message];
            message.confirmed = true;
            // What was not written down proves nothing.
            let proves =
                if message.persistent && message.queue.is_some() { publish.proves } else { Vec::new() };
            surely_settled(hearing.messages, &proves);
            confirmed.push(publish.message);
        }
        hearing.heard.push(Heard::Confirmed { channel: number, messages: confirmed });
        Ok(())
    }

    fn rejected(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
        hearing: &mut Hearing<'_>,
    ) -> Result<(), Violation> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let tags = tags_meant(&channel.unconfirmed, tag, multiple);
        for tag in tags {
            let Some(publish) = channel.unconfirmed.remove(&tag) else { continue };
            // The same task may be on its way once more, under its key.
            let is_last = channel.unconfirmed.values().all(|other| other.message != publish.message);
            hearing.messages[publish.message].refused = is_last;
            hearing.heard.push(Heard::Rejected { message: publish.message });
        }
        Ok(())
    }

    fn answered(&mut self, number: u16, method: &Method, hearing: &mut Hearing<'_>) -> Result<(), Violation> {
        let is_close_ok = method.name() == Request::Close.answer();
        let channel = self.channels.get_mut(&number);
        let asked = channel.as_ref().and_then(|channel| channel.asked.front());
        if is_close_ok && asked.is_none_or(|asked| asked.request != Request::Close) {
            // The answer to a close of ours that has met the server's.
            return Ok(());
        }
        let Some(channel) = channel else {
            let what = format!("{} on channel {number}, which is not open", method.name());
            return Err(Violation::new("P10", what));
        };
        let Some(Asked { request, proves, ends }) = channel.asked.pop_front() else {
            return Err(Violation::new("P10", format!("{} was not asked for", method.name())));
        };
        if let (Method::Basic(basic::Method::GetEmpty(_)), Request::Get { queue, .. }) = (method, &request) {
            hearing.heard.push(Heard::Empty { channel: number, queue: queue.clone() });
            return Ok(());
        }
        if request.answer() != method.name() {
            let what = format!("{} came where {} was due", method.name(), request.answer());
            return Err(Violation::new("P10", what));
        }
        surely_settled(hearing.messages, &proves);
        self.finish(number, &request, ends, hearing.messages);
        let count = match method {
            Method::Queue(queue::Method::DeclareOk(ok)) => Some(ok.message_count),
            Method::Queue(queue::Method::PurgeOk(ok)) => Some(ok.message_count),
            Method::Queue(queue::Method::DeleteOk(ok)) => Some(ok.message_count),
            _ => None,
        };
        hearing.heard.push(Heard::Answered { channel: number, request, count });
        Ok(())
    }

    /// What an answer changes on the channel.
    fn finish(&mut self, number: u16, request: &Request, ends: Collected, messages: &mut Messages) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        match request {
            Request::Open => channel.is_open = true,
            Request::Close => {
                self.channels.remove(&number);
            }
            Request::SelectConfirm => channel.mode = Mode::Confirm,
            Request::SelectTransaction => channel.mode = Mode::Transaction,
            Request::Commit => {
                ends.published.into_iter().for_each(|id| messages[id].confirmed = true);
                let removed = ends.settled.into_iter().filter(|(_, _, is_removed)| *is_removed);
                let removed: Vec<MessageId> = removed.filter_map(|(_, held, _)| held.message).collect();
                surely_settled(messages, &removed);
            }
            Request::Rollback => {
                ends.published.into_iter().for_each(|id| messages[id].refused = true);
                channel.held.extend(ends.settled.into_iter().map(|(tag, held, _)| (tag, held)));
            }
            Request::Recover => {
                channel.held.clear();
                channel.is_open = true;
            }
            Request::Cancel(tag) => {
                channel.consumer_stopped(tag);
            }
            _ => {}
        }
    }

    fn message(&mut self, number: u16, content: Content, hearing: &mut Hearing<'_>) -> Result<(), Violation> {
        let Content { method, properties, body } = content;
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let reply_to = properties.reply_to.map(|address| address.to_string());
        let correlation_id = properties.correlation_id.map(|id| id.to_string());
        if let Some(address) = reply_to.as_ref().filter(|address| address.starts_with("amq.task.reply.")) {
            if channel.addresses.len() == ADDRESSES_MAX {
                channel.addresses.pop_front();
            }
            channel.addresses.push_back(address.clone());
        }
        let held = Held { message: hearing.messages.identify(&body), reply_to, correlation_id };
        match method {
            Method::Basic(basic::Method::Deliver(deliver)) => {
                let consumer = channel.consumers.get(&deliver.consumer_tag.to_string()).cloned();
                let Some(consumer) = consumer else {
                    let what =
                        format!("a delivery for consumer {}, which is not there", deliver.consumer_tag);
                    return Err(Violation::new("P10", what));
                };
                next_tag(&mut channel.last_tag, deliver.delivery_tag)?;
                if !consumer.no_ack {
                    channel.held.insert(deliver.delivery_tag, held);
                }
                let (tag, redelivered) = (deliver.delivery_tag, deliver.redelivered);
                hearing.heard.push(Heard::Delivered {
                    channel: number,
                    tag,
                    queue: consumer.queue,
                    body,
                    redelivered,
                });
                Ok(())
            }
            Method::Basic(basic::Method::GetOk(ok)) => {
                let asked = channel.asked.pop_front().map(|asked| asked.request);
                let Some(Request::Get { queue, no_ack }) = asked else {
                    return Err(Violation::new("P10", "basic.get-ok was not due"));
                };
                next_tag(&mut channel.last_tag, ok.delivery_tag)?;
                let (tag, redelivered, remaining) = (ok.delivery_tag, ok.redelivered, ok.message_count);
                if !no_ack {
                    channel.held.insert(tag, held);
                }
                hearing.heard.push(Heard::Got { channel: number, tag, queue, body, redelivered, remaining });
                Ok(())
            }
            Method::Basic(basic::Method::Return(_)) => {
                hearing.heard.push(Heard::Returned);
                Ok(())
            }
            other => Err(Violation::new("P10", format!("{} carries a message", other.name()))),
        }
    }
}

/// The server has closed a channel: of its transactions, those whose commits were not answered by then are not done.
fn note_undone(channel: &Channel, messages: &mut Messages) {
    let commits = channel.asked.iter().filter(|asked| asked.request == Request::Commit);
    let undone = commits.map(|asked| &asked.ends).chain([&channel.collected]);
    undone.flat_map(|ends| &ends.published).for_each(|id| messages[*id].refused = true);
}

fn next_tag(last: &mut u64, tag: u64) -> Result<(), Violation> {
    *last += 1;
    match *last == tag {
        true => Ok(()),
        false => Err(Violation::new("P10", format!("delivery tag {tag} came where {last} was due"))),
    }
}

fn surely_settled(messages: &mut Messages, proved: &[MessageId]) {
    for id in proved {
        messages[*id].settled = Settled::Surely;
    }
}
