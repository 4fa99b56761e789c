//! What a client's methods ask of the broker: one file for each class.

pub(crate) mod access;
mod basic;
mod channel;
mod confirm;
mod exchange;
mod queue;
mod tx;

use amqp_wire::{Method, ReplyCode, ShortString};
use broker::{Operation, Refusal};

use crate::channel::Channel;
use crate::names::Names;
use crate::refusal::front_end;

/// What follows from a method.
#[derive(Debug)]
pub(crate) enum Action {
    /// The broker is asked.
    Submit {
        /// For what.
        operation: Operation,
        /// No positive answer is wanted.
        is_silent: bool,
    },
    /// Nothing.
    Nothing,
}

impl Action {
    /// Asks the broker, and the client waits for the answer.
    fn ask(operation: Operation) -> Self {
        Self::Submit { operation, is_silent: false }
    }

    /// Asks the broker; `no_wait` is what the client says about the answer.
    fn ask_unless(no_wait: bool, operation: Operation) -> Self {
        Self::Submit { operation, is_silent: no_wait }
    }
}

/// What follows from `method` on `channel`. Opening, closing and the message path are the channel's own.
///
/// # Errors
/// The refusal that closes the channel, or the connection if its code says so.
pub(crate) fn translate(method: Method, channel: &mut Channel, names: &mut Names) -> Result<Action, Refusal> {
    match method {
        Method::Access(method) => access::translate(&method),
        Method::Basic(method) => basic::translate(method, channel, names),
        Method::Channel(method) => channel::translate(&method),
        Method::Confirm(method) => confirm::translate(&method),
        Method::Exchange(method) => exchange::translate(method),
        Method::Queue(method) => queue::translate(method, channel, names),
        Method::Tx(method) => tx::translate(&method),
        Method::Connection(_) => Err(unimplemented_method()),
    }
}

/// A method that only a server sends, or of the connection on a channel.
fn unimplemented_method() -> Refusal {
    front_end(ReplyCode::CommandInvalid, "unimplemented method")
}

/// The queue that a method means: an empty name stands for the one declared last.
fn named_queue(name: ShortString, channel: &Channel) -> Result<ShortString, Refusal> {
    if !name.is_empty() {
        return Ok(name);
    }
    if channel.last_declared_queue.is_empty() {
        return Err(front_end(ReplyCode::NotFound, "no previously declared queue"));
    }
    Ok(channel.last_declared_queue.clone())
}
