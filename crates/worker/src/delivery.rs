//! A message on its way to a handler, and what becomes of it.

use amqp_wire::Properties;
use forebay_client::link::{Content, Publication};
use tokio_util::sync::CancellationToken;

/// The right to settle one delivery. It ends with the channel that the delivery came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Which of the worker's subscriptions.
    pub(crate) subscription: usize,
    /// Which opening of its channel.
    pub(crate) opening: u64,
    /// The delivery's number on the channel.
    pub(crate) delivery_tag: u64,
    /// Whether the message is a task: the broker then counts attempts and keeps the result.
    pub(crate) is_task: bool,
}

/// One message from the broker.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) lease: Lease,
    pub(crate) queue: String,
    pub(crate) content: Content,
    /// Cancelled when the lease is lost or the worker's grace is over.
    pub(crate) cancelled: CancellationToken,
}

/// What becomes of the delivery itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// It is done.
    Ack,
    /// Back to the queue; for a task a failed attempt.
    Requeue,
    /// To the dead letters.
    Reject,
}

/// The end of an attempt: what goes out together, and then the delivery is settled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finish {
    pub(crate) lease: Lease,
    /// What the handler published.
    pub(crate) publications: Vec<Publication>,
    /// The result, or the failure.
    pub(crate) reply: Option<Publication>,
    pub(crate) settle: Settle,
}

/// Tasks are known by the header that the broker adds.
pub(crate) fn is_task(properties: &Properties) -> bool {
    properties.headers.as_ref().is_some_and(|headers| headers.contains_key(b"x-task-id"))
}
