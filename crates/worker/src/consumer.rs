//! What a worker's connection is used for.

use std::collections::VecDeque;
use std::sync::Arc;

use amqp_wire::{Method, ShortString, basic, channel};
use forebay_client::link::{
    ConfirmChannel, Endpoint, Incoming, Output, Publication, Refused, Verdict, Violation,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::conclusion::{PLAIN_RETRY_WAIT, refused_result};
use crate::delivery::{Finish, Lease, Settle};
use crate::inbox::Inbox;
use crate::subscription::Subscription;
use crate::transactions::{Commit, Transactions};

/// What a worker wants of its connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// An attempt has ended.
    Finish(Finish),
    /// No more deliveries.
    Stop,
}

/// One channel for each queue, one for results (with confirms), one for results that go out with other messages (with
/// transactions).
///
/// A delivery is settled when its result is durable, never before. What the broker does not take of a lease that is
/// lost is dropped: the task runs elsewhere.
#[derive(Debug)]
pub(crate) struct Consumer {
    subscriptions: Vec<Subscription>,
    results: ConfirmChannel<Outgoing>,
    transactions: Transactions,
    /// Deliveries that go back to their queues, and when, earliest first. No more than the subscriptions allow.
    going_back: VecDeque<(Instant, Lease)>,
    inbox: Arc<Inbox>,
    is_stopping: bool,
}

/// A result that waits for its confirm.
#[derive(Debug)]
struct Outgoing {
    lease: Lease,
    result: Arc<Publication>,
}

const RESULT_CHANNEL: u16 = 1;
const TRANSACTION_CHANNEL: u16 = 2;
const FIRST_QUEUE_CHANNEL: u16 = 3;

/// How many queues one worker may consume: their channels have to fit beside the others.
pub(crate) const QUEUES_MAX: usize = 1000;

impl Consumer {
    /// Consumes these queues, each with this many unsettled deliveries at most.
    pub(crate) fn new(
        queues: Vec<ShortString>,
        declares: bool,
        prefetch: u16,
        inbox: Arc<Inbox>,
        root: &CancellationToken,
    ) -> Self {
        let subscription = |(index, queue)| {
            let channel = FIRST_QUEUE_CHANNEL + index as u16;
            Subscription::new(index, channel, queue, declares, prefetch, root.clone())
        };
        Self {
            subscriptions: queues.into_iter().take(QUEUES_MAX).enumerate().map(subscription).collect(),
            results: ConfirmChannel::new(RESULT_CHANNEL),
            transactions: Transactions::new(TRANSACTION_CHANNEL),
            going_back: VecDeque::new(),
            inbox,
            is_stopping: false,
        }
    }

    fn finish(&mut self, finish: Finish, output: &mut Output) {
        let Finish { lease, mut publications, reply, settle } = finish;
        if !self.subscriptions[lease.subscription].holds(lease) {
            tracing::debug!("a result is dropped: the lease was lost");
            return;
        }
        match reply {
            Some(reply) if publications.is_empty() => self.publish(lease, reply, output),
            None if publications.is_empty() => self.settle(lease, settle, output),
            reply => {
                publications.extend(reply);
                self.transactions.add(lease, publications, output);
            }
        }
    }

    fn publish(&mut self, lease: Lease, result: Publication, output: &mut Output) {
        let result = Arc::new(result);
        self.results.publish(result.clone(), Outgoing { lease, result }, output);
    }

    /// The broker has closed the channel over a result.
    fn refused(&mut self, outgoing: &Outgoing, refused: &Refused, output: &mut Output) {
        let Outgoing { lease, result } = outgoing;
        tracing::warn!(code = refused.code, text = refused.text, "the broker refuses a result");
        let failure = lease.is_task.then(|| refused_result(result, &refused.text)).flatten();
        match failure {
            Some(failure) => self.publish(*lease, failure, output),
            None => self.give_back(*lease, output),
        }
    }

    /// The broker did not take a result. Of a task it delays the next attempt itself; a plain message would be back at
    /// once, and refused again.
    fn give_back(&mut self, lease: Lease, output: &mut Output) {
        if lease.is_task {
            self.settle(lease, Settle::Requeue, output);
        } else {
            self.going_back.push_back((Instant::now() + PLAIN_RETRY_WAIT, lease));
        }
    }

    fn settle(&mut self, lease: Lease, settle: Settle, output: &mut Output) {
        self.subscriptions[lease.subscription].settle(lease, settle, output);
    }

    fn result_incoming(&mut self, incoming: Incoming, output: &mut Output) -> Result<(), Violation> {
        let verdicts = match &incoming.method {
            Method::Basic(basic::Method::Ack(ack)) => self.results.acked(ack),
            Method::Basic(basic::Method::Nack(nack)) => self.results.nacked(nack),
            Method::Basic(basic::Method::Return(returned)) => {
                let message_id = incoming.content.properties.message_id.as_deref();
                self.results.returned(returned, message_id);
                return Ok(());
            }
            Method::Channel(channel::Method::Close(close)) => {
                let culprit = self.results.closed(close, output);
                self.results.open(output);
                self.results.send_again(output);
                culprit.into_iter().collect()
            }
            Method::Channel(channel::Method::OpenOk(_)) => return Ok(()),
            other => return Err(Violation::Unexpected { method: other.name(), channel: RESULT_CHANNEL }),
        };
        for (outgoing, verdict) in verdicts {
            self.judged(&outgoing, verdict, output);
        }
        Ok(())
    }

    /// The broker's word on a result.
    fn judged(&mut self, outgoing: &Outgoing, verdict: Verdict, output: &mut Output) {
        let lease = outgoing.lease;
        match verdict {
            Verdict::Confirmed => self.settle(lease, Settle::Ack, output),
            // Who asked has gone; the work is done all the same.
            Verdict::Returned(_) if !lease.is_task => self.settle(lease, Settle::Ack, output),
            // Somebody else has settled the task, or cancelled it. Giving it back is ignored then; if not, it is
            // not lost.
            Verdict::Returned(_) => {
                tracing::info!("a result is dropped: the task is settled or runs elsewhere");
                self.give_back(lease, output);
            }
            Verdict::Nacked => {
                tracing::warn!("the broker does not take a result; a queue may be full");
                self.give_back(lease, output);
            }
            Verdict::Refused(refused) => self.refused(outgoing, &refused, output),
        }
    }

    fn transaction_incoming(&mut self, incoming: Incoming, output: &mut Output) -> Result<(), Violation> {
        match self.transactions.incoming(incoming, output)? {
            None => {}
            Some(Commit::Done(lease)) => self.settle(lease, Settle::Ack, output),
            Some(Commit::Refused(lease, reason)) => {
                tracing::warn!(reason, "a result and its messages are dropped");
                self.give_back(lease, output);
            }
        }
        Ok(())
    }
}

impl Endpoint for Consumer {
    type Command = Command;

    fn connected(&mut self, output: &mut Output) {
        if self.is_stopping {
            return;
        }
        self.results.open(output);
        for subscription in &mut self.subscriptions {
            subscription.open(output);
        }
    }

    fn command(&mut self, command: Command, output: &mut Output) {
        match command {
            Command::Finish(finish) => self.finish(finish, output),
            Command::Stop => {
                self.is_stopping = true;
                for subscription in &mut self.subscriptions {
                    subscription.stop(output);
                }
            }
        }
    }

    fn incoming(&mut self, incoming: Incoming, output: &mut Output) -> Result<(), Violation> {
        match incoming.channel {
            RESULT_CHANNEL => self.result_incoming(incoming, output),
            TRANSACTION_CHANNEL => self.transaction_incoming(incoming, output),
            channel => {
                let found =
                    self.subscriptions.iter_mut().find(|subscription| subscription.channel() == channel);
                let unknown = Violation::Unexpected { method: incoming.method.name(), channel };
                found.ok_or(unknown)?.incoming(incoming, &self.inbox, output)
            }
        }
    }

    fn lost(&mut self) {
        self.results.lost();
        // Their leases are gone with the connection.
        self.results.take_all().for_each(drop);
        self.transactions.lost();
        self.going_back.clear();
        for subscription in &mut self.subscriptions {
            subscription.lost(&self.inbox);
        }
    }

    fn is_idle(&self) -> bool {
        self.results.is_empty() && self.transactions.is_empty()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let next_back = self.going_back.front().map(|(at, _)| *at);
        self.subscriptions.iter().filter_map(Subscription::retry_at).chain(next_back).min()
    }

    fn tick(&mut self, now: Instant, output: &mut Output) {
        while let Some(&(_, lease)) = self.going_back.front().filter(|(at, _)| *at <= now) {
            self.going_back.pop_front();
            self.settle(lease, Settle::Requeue, output);
        }
        for subscription in &mut self.subscriptions {
            subscription.tick(now, output);
        }
    }
}
