//! What a client's connection is used for.

use std::sync::Arc;

use amqp_wire::{Method, ShortString, basic, channel};
use tokio::sync::oneshot;

use crate::budget::Share;
use crate::calls::Calls;
use crate::declares::{Declare, Declares};
use crate::link::{ConfirmChannel, Endpoint, Incoming, Output, Publication, Verdict, Violation};
use crate::{PublishError, TaskId};

/// What a client wants of its connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// A message.
    Publish { publication: Arc<Publication>, waiter: Waiter },
    /// The call of this id, which is among the [`Calls`].
    Call(TaskId),
    /// A queue.
    Declare(Declare),
}

/// Who waits for a publish to be confirmed, with its share of what may be under way.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) done: oneshot::Sender<Result<(), PublishError>>,
    pub(crate) share: Share,
}

/// Three channels, so that what fails on one leaves the others alone: publishes, calls with their answers,
/// declarations.
#[derive(Debug)]
pub(crate) struct Producer {
    online: bool,
    publishes: ConfirmChannel<Waiter>,
    calls: Arc<Calls>,
    /// What of the calls is not confirmed. All that has to survive a reconnect is in `calls`.
    call_publishes: ConfirmChannel<TaskId>,
    /// How often the channel of the calls was opened: a call that was sent on an earlier one has lost the address for
    /// its answer.
    call_opening: u64,
    declares: Declares,
}

const PUBLISH_CHANNEL: u16 = 1;
const CALL_CHANNEL: u16 = 2;
const DECLARE_CHANNEL: u16 = 3;

/// The pseudo-queue through which answers come straight to this channel.
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

impl Producer {
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Self {
            online: false,
            publishes: ConfirmChannel::new(PUBLISH_CHANNEL),
            calls,
            call_publishes: ConfirmChannel::new(CALL_CHANNEL),
            call_opening: 0,
            declares: Declares::new(DECLARE_CHANNEL),
        }
    }

    /// Opens the channel of the calls and sends all that wait, those too whose publish was confirmed on an earlier one.
    fn open_calls(&mut self, output: &mut Output) {
        self.call_opening += 1;
        // They are published anew, out of `calls`.
        self.call_publishes.take_all().for_each(drop);
        self.call_publishes.open(output);
        let consume = basic::Consume {
            queue: ShortString::from_static(DIRECT_REPLY_TO),
            no_ack: true,
            no_wait: true,
            consumer_tag: ShortString::from_static("replies"),
            ..basic::Consume::default()
        };
        output.method(CALL_CHANNEL, consume);
        for (id, publication) in self.calls.all_to_send(self.call_opening) {
            self.call_publishes.publish(publication, id, output);
        }
    }

    fn call(&mut self, id: TaskId, output: &mut Output) {
        if !self.online {
            // It goes with all the others when there is a connection.
        } else if !self.call_publishes.is_open() {
            self.open_calls(output);
        } else if let Some(publication) = self.calls.to_send(id, self.call_opening) {
            self.call_publishes.publish(publication, id, output);
        }
    }

    fn publish_incoming(&mut self, incoming: Incoming, output: &mut Output) -> Result<(), Violation> {
        let verdicts = match &incoming.method {
            Method::Channel(channel::Method::Close(close)) => {
                let culprit = self.publishes.closed(close, output);
                self.publishes.open(output);
                self.publishes.send_again(output);
                culprit.into_iter().collect()
            }
            _ => confirms(&mut self.publishes, &incoming)?,
        };
        for (Waiter { done, share }, verdict) in verdicts {
            // Who asked may have stopped waiting.
            let _ = done.send(PublishError::judge(verdict));
            drop(share);
        }
        Ok(())
    }

    fn call_incoming(&mut self, incoming: Incoming, output: &mut Output) -> Result<(), Violation> {
        let verdicts = match &incoming.method {
            Method::Basic(basic::Method::Deliver(_)) => {
                if !self.calls.answer(incoming.content) {
                    tracing::debug!("an answer came that nobody waits for");
                }
                return Ok(());
            }
            Method::Channel(channel::Method::Close(close)) => {
                let culprit = self.call_publishes.closed(close, output);
                if let Some((id, verdict)) = culprit {
                    self.judge_call(id, verdict);
                }
                if !self.calls.is_empty() {
                    self.open_calls(output);
                }
                return Ok(());
            }
            _ => confirms(&mut self.call_publishes, &incoming)?,
        };
        for (id, verdict) in verdicts {
            self.judge_call(id, verdict);
        }
        Ok(())
    }

    fn judge_call(&self, id: TaskId, verdict: Verdict) {
        if let Err(error) = PublishError::judge(verdict) {
            self.calls.fail(id, error);
        }
    }
}

/// What every channel with confirms may hear.
fn confirms<T>(channel: &mut ConfirmChannel<T>, incoming: &Incoming) -> Result<Vec<(T, Verdict)>, Violation> {
    match &incoming.method {
        Method::Basic(basic::Method::Ack(ack)) => Ok(channel.acked(ack)),
        Method::Basic(basic::Method::Nack(nack)) => Ok(channel.nacked(nack)),
        Method::Basic(basic::Method::Return(returned)) => {
            let message_id = incoming.content.properties.message_id.as_deref();
            if !channel.returned(returned, message_id) {
                tracing::warn!(routing_key = %returned.routing_key, "an unknown message was returned");
            }
            Ok(Vec::new())
        }
        Method::Channel(channel::Method::OpenOk(_)) => Ok(Vec::new()),
        other => Err(Violation::Unexpected { method: other.name(), channel: incoming.channel }),
    }
}

impl Endpoint for Producer {
    type Command = Command;

    fn connected(&mut self, output: &mut Output) {
        self.online = true;
        self.publishes.open(output);
        self.publishes.send_again(output);
        if !self.calls.is_empty() {
            self.open_calls(output);
        }
        self.declares.connected(output);
    }

    fn command(&mut self, command: Command, output: &mut Output) {
        match command {
            Command::Publish { publication, waiter } => self.publishes.publish(publication, waiter, output),
            Command::Call(id) => self.call(id, output),
            Command::Declare(declare) => self.declares.add(declare, output, self.online),
        }
    }

    fn incoming(&mut self, incoming: Incoming, output: &mut Output) -> Result<(), Violation> {
        match incoming.channel {
            PUBLISH_CHANNEL => self.publish_incoming(incoming, output),
            CALL_CHANNEL => self.call_incoming(incoming, output),
            DECLARE_CHANNEL => self.declares.incoming(incoming.method, output),
            channel => Err(Violation::Unexpected { method: incoming.method.name(), channel }),
        }
    }

    fn lost(&mut self) {
        self.online = false;
        self.publishes.lost();
        self.call_publishes.lost();
        self.declares.lost();
    }

    fn is_idle(&self) -> bool {
        self.publishes.is_empty() && self.call_publishes.is_empty() && self.declares.is_empty()
    }
}

impl Drop for Producer {
    /// There will be no answers any more.
    fn drop(&mut self) {
        self.calls.fail_all();
    }
}
