//! A channel, as its client knows it.

use std::collections::{BTreeMap, VecDeque};

use crate::messages::MessageId;

/// What a channel is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is confirmed.
    #[default]
    Plain,
    /// Publishes are confirmed.
    Confirm,
    /// Publishes and settlements wait for a commit.
    Transaction,
}

/// A request that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub request: Request,
    /// Settled messages whose settlement is safe when this is answered.
    pub proves: Vec<MessageId>,
    /// The transaction that it ends.
    pub ends: Collected,
}

/// What a transaction has collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Publishes.
    pub published: Vec<MessageId>,
    /// Settled deliveries, and whether they are done with.
    pub settled: Vec<(u64, Held, bool)>,
}

/// Kinds of requests. The text is the name of what is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `channel.open`.
    Open,
    /// `channel.close`.
    Close,
    /// `confirm.select`.
    SelectConfirm,
    /// `tx.select`.
    SelectTransaction,
    /// `tx.commit`.
    Commit,
    /// `tx.rollback`.
    Rollback,
    /// `queue.declare`.
    DeclareQueue(String),
    /// `queue.delete`.
    DeleteQueue(String),
    /// `queue.purge`.
    PurgeQueue(String),
    /// `queue.bind`.
    BindQueue,
    /// `queue.unbind`.
    UnbindQueue,
    /// `exchange.declare`.
    DeclareExchange(String),
    /// `exchange.delete`.
    DeleteExchange(String),
    /// `exchange.bind`.
    BindExchange,
    /// `exchange.unbind`.
    UnbindExchange,
    /// `basic.qos`.
    Prefetch,
    /// `basic.consume`.
    Consume(String),
    /// `basic.cancel`.
    Cancel(String),
    /// `basic.get` of a queue; settled at once or not.
    Get {
        /// The queue.
        queue: String,
        /// Settled at once.
        no_ack: bool,
    },
    /// `basic.recover`.
    Recover,
}

/// A consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The queue.
    pub queue: String,
    /// Its deliveries are settled when they are sent.
    pub no_ack: bool,
}

/// A delivery that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The message; nothing if it is none of the numbered ones.
    pub message: Option<MessageId>,
    /// Where its answer goes.
    pub reply_to: Option<String>,
    /// By what its answer is known.
    pub correlation_id: Option<String>,
}

/// A publish that waits for its confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The message.
    pub message: MessageId,
    /// Settled messages whose settlement is safe when it is confirmed.
    pub proves: Vec<MessageId>,
}

/// A channel.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// It was opened, and neither side has said that it ends.
    pub is_open: bool,
    /// What it is for.
    pub mode: Mode,
    /// Requests that wait for an answer, in order.
    pub asked: VecDeque<Asked>,
    /// Publishes so far, if they are confirmed.
    pub published: u64,
    /// Those that are not.
    pub unconfirmed: BTreeMap<u64, Unconfirmed>,
    /// Deliveries by tag.
    pub held: BTreeMap<u64, Held>,
    /// The last tag.
    pub last_tag: u64,
    /// Consumers by tag.
    pub consumers: BTreeMap<String, Consumer>,
    /// Messages that were settled, and of which nothing was heard since.
    pub settled: Vec<MessageId>,
    /// In a transaction: what it has collected.
    pub collected: Collected,
    /// Where the last tasks that came want their replies.
    pub addresses: VecDeque<String>,
}

impl Channel {
    /// A consumer has stopped. Another of the same tag, which was asked for since, is still to come.
    pub fn consumer_stopped(&mut self, tag: &str) {
        let comes_again = |asked: &Asked| matches!(&asked.request, Request::Consume(other) if other == tag);
        if !self.asked.iter().any(comes_again) {
            self.consumers.remove(tag);
        }
    }
}

impl Asked {
    /// A request that proves nothing and ends nothing.
    #[must_use]
    pub fn alone(request: Request) -> Self {
        Self { request, proves: Vec::new(), ends: Collected::default() }
    }
}

impl Request {
    /// The name of the method that answers it.
    #[must_use]
    pub fn answer(&self) -> &'static str {
        match self {
            Self::Open => "channel.open-ok",
            Self::Close => "channel.close-ok",
            Self::SelectConfirm => "confirm.select-ok",
            Self::SelectTransaction => "tx.select-ok",
            Self::Commit => "tx.commit-ok",
            Self::Rollback => "tx.rollback-ok",
            Self::DeclareQueue(_) => "queue.declare-ok",
            Self::DeleteQueue(_) => "queue.delete-ok",
            Self::PurgeQueue(_) => "queue.purge-ok",
            Self::BindQueue => "queue.bind-ok",
            Self::UnbindQueue => "queue.unbind-ok",
            Self::DeclareExchange(_) => "exchange.declare-ok",
            Self::DeleteExchange(_) => "exchange.delete-ok",
            Self::BindExchange => "exchange.bind-ok",
            Self::UnbindExchange => "exchange.unbind-ok",
            Self::Prefetch => "basic.qos-ok",
            Self::Consume(_) => "basic.consume-ok",
            Self::Cancel(_) => "basic.cancel-ok",
            Self::Get { .. } => "basic.get-ok",
            Self::Recover => "basic.recover-ok",
        }
    }
}

/// The tags that a settlement or a confirm means: one, or all up to it.
pub(super) fn tags_meant<T>(waiting: &BTreeMap<u64, T>, tag: u64, multiple: bool) -> Vec<u64> {
    let first = if multiple { 0 } else { tag };
    waiting.range(first..=tag).map(|(tag, _)| *tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_used_again_before_its_cancel_is_answered_stays() {
        let mut channel = Channel::default();
        channel.consumers.insert("one".into(), Consumer { queue: "queue".into(), no_ack: true });
        channel.asked.push_back(Asked::alone(Request::Consume("one".into())));
        channel.consumer_stopped("one");
        assert!(channel.consumers.contains_key("one"));
        channel.asked.clear();
        channel.consumer_stopped("one");
        assert!(channel.consumers.is_empty());
    }
}
