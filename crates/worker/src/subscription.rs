//! One queue that is consumed.

use std::sync::Arc;
use std::time::Duration;

use amqp_wire::{Method, ShortString, Table, Value, basic, channel, queue};
use forebay_client::link::{Backoff, Incoming, Output, Violation};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::WorkerError;
use crate::delivery::{Delivery, Lease, Settle, is_task};
use crate::inbox::Inbox;

/// A queue on a channel of its own: a queue that is missing or forbidden costs the channel, and must not take the
/// others along.
///
/// ```text
///            connected            consume-ok
///  Closed ──────────────► Asked ──────────────► Consuming
///    ▲  ▲                   │ ▲                    │  │
///    │  └── channel.close ──┘ └── after a wait ────┘  │ stop: basic.cancel
///    └────── lost ── any          (basic.cancel       ▼
///                                  of the broker)   Stopped
/// ```
#[derive(Debug)]
pub(crate) struct Subscription {
    index: usize,
    channel: u16,
    queue: ShortString,
    /// Whether the queue is declared as a queue of tasks before it is consumed.
    declares: bool,
    prefetch: u16,
    /// How often the channel was opened or lost; leases of another number are void.
    opening: u64,
    state: State,
    unsettled: usize,
    backoff: Backoff,
    /// When to try again.
    retry_at: Option<Instant>,
    /// Cancels everything when the worker's grace is over.
    root: CancellationToken,
    /// Cancels what came on the channel when the channel is gone.
    leases: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Asked,
    Consuming,
    Stopped,
}

const TAG: &str = "worker";

impl Subscription {
    pub(crate) fn new(
        index: usize,
        channel: u16,
        queue: ShortString,
        declares: bool,
        prefetch: u16,
        root: CancellationToken,
    ) -> Self {
        Self {
            index,
            channel,
            queue,
            declares,
            prefetch,
            opening: 0,
            state: State::Closed,
            unsettled: 0,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(15)),
            retry_at: None,
            leases: root.child_token(),
            root,
        }
    }

    pub(crate) fn channel(&self) -> u16 {
        self.channel
    }

    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Opens the channel and asks for deliveries.
    pub(crate) fn open(&mut self, output: &mut Output) {
        output.method(self.channel, channel::Open {});
        let prefetch = basic::Qos { prefetch_count: self.prefetch, ..basic::Qos::default() };
        output.method(self.channel, prefetch);
        self.ask(output);
    }

    /// Asks for deliveries on the open channel. Nothing is waited for in between: what is refused closes the channel.
    fn ask(&mut self, output: &mut Output) {
        self.retry_at = None;
        self.state = State::Asked;
        if self.declares {
            output.method(self.channel, declaration(&self.queue));
        }
        let consume = basic::Consume {
            queue: self.queue.clone(),
            consumer_tag: ShortString::from_static(TAG),
            ..basic::Consume::default()
        };
        output.method(self.channel, consume);
    }

    /// No more deliveries; those that are here may be settled.
    pub(crate) fn stop(&mut self, output: &mut Output) {
        self.retry_at = None;
        if matches!(self.state, State::Asked | State::Consuming) {
            let consumer_tag = ShortString::from_static(TAG);
            output.method(self.channel, basic::Cancel { consumer_tag, no_wait: false });
        }
        self.state = State::Stopped;
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant, output: &mut Output) {
        if self.retry_at.is_some_and(|at| at <= now) {
            match self.state {
                State::Closed => {
                    self.retry_at = None;
                    self.open(output);
                }
                _ => self.ask(output),
            }
        }
    }

    /// The connection is gone.
    pub(crate) fn lost(&mut self, inbox: &Inbox) {
        self.retry_at = None;
        self.void_leases(inbox);
        if self.state != State::Stopped {
            self.state = State::Closed;
        }
    }

    /// Settles a delivery, unless its lease is void.
    pub(crate) fn settle(&mut self, lease: Lease, settle: Settle, output: &mut Output) {
        if !self.holds(lease) {
            return;
        }
        self.unsettled = self.unsettled.saturating_sub(1);
        match settle {
            Settle::Ack => output.ack(self.channel, lease.delivery_tag),
            Settle::Requeue => output.nack(self.channel, lease.delivery_tag, true),
            Settle::Reject => output.nack(self.channel, lease.delivery_tag, false),
        }
    }

    /// Whether a lease still counts.
    pub(crate) fn holds(&self, lease: Lease) -> bool {
        lease.opening == self.opening
    }

    pub(crate) fn incoming(
        &mut self,
        incoming: Incoming,
        inbox: &Arc<Inbox>,
        output: &mut Output,
    ) -> Result<(), Violation> {
        match incoming.method {
            Method::Basic(basic::Method::Deliver(deliver)) => {
                self.unsettled += 1;
                if self.unsettled > usize::from(self.prefetch) {
                    return Err(Violation::TooManyDeliveries { limit: self.prefetch.into() });
                }
                let lease = Lease {
                    subscription: self.index,
                    opening: self.opening,
                    delivery_tag: deliver.delivery_tag,
                    is_task: is_task(&incoming.content.properties),
                };
                let (queue, content) = (self.queue.to_string(), incoming.content);
                inbox.push(Delivery { lease, queue, content, cancelled: self.leases.clone() });
            }
            Method::Basic(basic::Method::ConsumeOk(_)) => {
                self.backoff.reset();
                if self.state == State::Asked {
                    self.state = State::Consuming;
                }
            }
            Method::Basic(basic::Method::Cancel(_)) => {
                tracing::warn!(queue = %self.queue, "the broker ended the consumer; trying again");
                self.try_later();
            }
            Method::Channel(channel::Method::Close(close)) => self.closed(&close, inbox, output),
            Method::Channel(channel::Method::OpenOk(_))
            | Method::Basic(basic::Method::QosOk(_) | basic::Method::CancelOk(_))
            | Method::Queue(queue::Method::DeclareOk(_)) => {}
            other => return Err(Violation::Unexpected { method: other.name(), channel: self.channel }),
        }
        Ok(())
    }

    fn closed(&mut self, close: &channel::Close, inbox: &Inbox, output: &mut Output) {
        const PRECONDITION_FAILED: u16 = 406;
        const QUEUE_DECLARE: (u16, u16) = (50, 10);
        output.method(self.channel, channel::CloseOk {});
        self.void_leases(inbox);
        let (queue, text) = (self.queue.to_string(), close.reply_text.to_string());
        let is_other_queue = (close.class_id, close.method_id) == QUEUE_DECLARE;
        if close.reply_code == PRECONDITION_FAILED && is_other_queue {
            // No waiting changes what the queue is.
            self.state = State::Stopped;
            inbox.fail(WorkerError::OtherQueue { queue, text });
            return;
        }
        tracing::warn!(queue, code = close.reply_code, text, "the broker closed the channel; trying again");
        if self.state != State::Stopped {
            self.state = State::Closed;
            self.try_later();
        }
    }

    fn try_later(&mut self) {
        if self.state != State::Stopped {
            self.retry_at = Some(Instant::now() + self.backoff.next_wait());
        }
    }

    fn void_leases(&mut self, inbox: &Inbox) {
        self.opening += 1;
        self.unsettled = 0;
        inbox.discard(self.index);
        self.leases.cancel();
        self.leases = self.root.child_token();
    }
}

/// A durable queue whose messages are tasks.
fn declaration(queue: &ShortString) -> queue::Declare {
    let arguments = Table::from(vec![(ShortString::from_static("x-task-queue"), Value::Bool(true))]);
    queue::Declare { queue: queue.clone(), durable: true, arguments, ..queue::Declare::default() }
}
