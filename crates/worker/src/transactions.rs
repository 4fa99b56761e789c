//! Results that go out together with other messages.

use std::collections::VecDeque;

use amqp_wire::{Method, basic, channel, tx};
use forebay_client::link::{Incoming, Output, Publication, Violation};

use crate::delivery::Lease;

/// A channel in transaction mode. Each transaction is written as a whole, its commit with it; several may be with the
/// broker, which answers in their order.
#[derive(Debug)]
pub(crate) struct Transactions {
    channel: u16,
    is_open: bool,
    waiting: VecDeque<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    lease: Lease,
    publications: Vec<Publication>,
}

/// What came of the oldest transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// All of it is durable.
    Done(Lease),
    /// Nothing of it happened, for this reason.
    Refused(Lease, String),
}

impl Transactions {
    pub(crate) fn new(channel: u16) -> Self {
        Self { channel, is_open: false, waiting: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Publishes all of these or none.
    pub(crate) fn add(&mut self, lease: Lease, publications: Vec<Publication>, output: &mut Output) {
        if !self.is_open {
            self.open(output);
        }
        let transaction = Transaction { lease, publications };
        transaction.write(self.channel, output);
        self.waiting.push_back(transaction);
    }

    /// The connection is gone, and with it the right to the results.
    pub(crate) fn lost(&mut self) {
        self.is_open = false;
        self.waiting.clear();
    }

    pub(crate) fn incoming(
        &mut self,
        incoming: Incoming,
        output: &mut Output,
    ) -> Result<Option<Commit>, Violation> {
        match incoming.method {
            Method::Tx(tx::Method::CommitOk(_)) => {
                Ok(self.waiting.pop_front().map(|transaction| Commit::Done(transaction.lease)))
            }
            Method::Channel(channel::Method::Close(close)) => Ok(self.closed(&close, output)),
            Method::Basic(basic::Method::Return(returned)) => {
                tracing::error!(
                    exchange = %returned.exchange,
                    routing_key = %returned.routing_key,
                    "a message that a handler published reaches no queue, and is lost"
                );
                Ok(None)
            }
            Method::Channel(channel::Method::OpenOk(_)) | Method::Tx(tx::Method::SelectOk(_)) => Ok(None),
            other => Err(Violation::Unexpected { method: other.name(), channel: self.channel }),
        }
    }

    /// The broker answers in order, so that the oldest is the one that it refuses. It has ignored what came behind
    /// it: that is written again.
    fn closed(&mut self, close: &channel::Close, output: &mut Output) -> Option<Commit> {
        output.method(self.channel, channel::CloseOk {});
        self.is_open = false;
        let refused = self.waiting.pop_front()?;
        if !self.waiting.is_empty() {
            self.open(output);
            for transaction in &self.waiting {
                transaction.write(self.channel, output);
            }
        }
        Some(Commit::Refused(refused.lease, format!("{} {}", close.reply_code, close.reply_text)))
    }

    fn open(&mut self, output: &mut Output) {
        self.is_open = true;
        output.method(self.channel, channel::Open {});
        output.method(self.channel, tx::Select {});
    }
}

impl Transaction {
    fn write(&self, channel: u16, output: &mut Output) {
        for publication in &self.publications {
            output.publish(channel, publication);
        }
        output.method(channel, tx::Commit {});
    }
}

#[cfg(test)]
mod tests {
    use amqp_wire::ShortString;
    use forebay_client::Message;
    use forebay_client::link::Content;

    use super::*;

    fn lease(delivery_tag: u64) -> Lease {
        Lease { subscription: 0, opening: 1, delivery_tag, is_task: true }
    }

    fn publication(body: &'static str) -> Publication {
        Message::new(body).into_publication("", "q").unwrap()
    }

    fn incoming(method: impl Into<Method>) -> Incoming {
        Incoming { channel: 3, method: method.into(), content: Content::default() }
    }

    fn names(output: &mut Output) -> Vec<&'static str> {
        output.drain().iter().map(|incoming| incoming.method.name()).collect()
    }

    #[test]
    fn a_refused_transaction_takes_no_other_along() {
        let (mut transactions, mut output) = (Transactions::new(3), Output::online());
        transactions.add(lease(1), vec![publication("a"), publication("b")], &mut output);
        assert_eq!(
            names(&mut output),
            ["channel.open", "tx.select", "basic.publish", "basic.publish", "tx.commit"]
        );
        transactions.add(lease(2), vec![publication("c")], &mut output);
        assert_eq!(names(&mut output), ["basic.publish", "tx.commit"]);
        let close = channel::Close {
            reply_code: 406,
            reply_text: ShortString::from_static("PRECONDITION_FAILED - late"),
            ..Default::default()
        };
        let refused = transactions.incoming(incoming(close), &mut output).unwrap();
        assert_eq!(refused, Some(Commit::Refused(lease(1), "406 PRECONDITION_FAILED - late".to_owned())));
        assert_eq!(
            names(&mut output),
            ["channel.close-ok", "channel.open", "tx.select", "basic.publish", "tx.commit"]
        );
        let done = transactions.incoming(incoming(tx::CommitOk {}), &mut output).unwrap();
        assert_eq!(done, Some(Commit::Done(lease(2))));
        assert!(transactions.is_empty());
    }
}
