//! Queues that are being declared.

use std::collections::VecDeque;

use amqp_wire::{Method, ShortString, Table, Value, channel, queue};
use tokio::sync::oneshot;

use crate::PublishError;
use crate::link::{Output, Violation};

/// A queue to declare.
#[derive(Debug)]
pub(crate) struct Declare {
    pub(crate) queue: ShortString,
    pub(crate) is_task_queue: bool,
    pub(crate) done: oneshot::Sender<Result<(), PublishError>>,
}

/// The channel for declaring, one at a time: a queue that is refused costs the channel, and must not take others along.
#[derive(Debug)]
pub(crate) struct Declares {
    channel: u16,
    is_open: bool,
    /// The first one is with the broker.
    waiting: VecDeque<Declare>,
}

impl Declares {
    pub(crate) fn new(channel: u16) -> Self {
        Self { channel, is_open: false, waiting: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn add(&mut self, declare: Declare, output: &mut Output, online: bool) {
        self.waiting.push_back(declare);
        if online && self.waiting.len() == 1 {
            self.ask(output);
        }
    }

    pub(crate) fn connected(&mut self, output: &mut Output) {
        self.ask(output);
    }

    pub(crate) fn lost(&mut self) {
        self.is_open = false;
    }

    pub(crate) fn incoming(&mut self, method: Method, output: &mut Output) -> Result<(), Violation> {
        match method {
            Method::Queue(queue::Method::DeclareOk(_)) => self.answer(Ok(())),
            Method::Channel(channel::Method::OpenOk(_)) => return Ok(()),
            Method::Channel(channel::Method::Close(close)) => {
                output.method(self.channel, channel::CloseOk {});
                self.is_open = false;
                let text = close.reply_text.to_string();
                self.answer(Err(PublishError::Refused { code: close.reply_code, text }));
            }
            other => return Err(Violation::Unexpected { method: other.name(), channel: self.channel }),
        }
        self.ask(output);
        Ok(())
    }

    fn answer(&mut self, outcome: Result<(), PublishError>) {
        if let Some(declare) = self.waiting.pop_front() {
            // Who asked may have stopped waiting.
            let _ = declare.done.send(outcome);
        }
    }

    fn ask(&mut self, output: &mut Output) {
        let Some(next) = self.waiting.front() else { return };
        if !self.is_open {
            self.is_open = true;
            output.method(self.channel, channel::Open {});
        }
        output.method(self.channel, declaration(&next.queue, next.is_task_queue));
    }
}

/// A durable queue; `x-task-queue` makes a task of every message that enters it.
pub(crate) fn declaration(queue: &ShortString, is_task_queue: bool) -> queue::Declare {
    let mut arguments = Table::new();
    if is_task_queue {
        arguments.push(ShortString::from_static("x-task-queue"), Value::Bool(true));
    }
    queue::Declare { queue: queue.clone(), durable: true, arguments, ..queue::Declare::default() }
}
