//! A task that is about to be sent.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::task::task_options;
use crate::{Client, SendError, Task, TaskId};

/// A task with its options; await it to send it.
///
/// It is durable when the future is done: the broker has synced it to disk. A future that is dropped before may or
/// may not have sent it.
#[derive(Debug)]
#[must_use = "a task is sent when this is awaited"]
pub struct Send<'a> {
    client: &'a Client,
    queue: &'static str,
    task: Result<Task, serde_json::Error>,
}

impl<'a> Send<'a> {
    pub(crate) fn new(
        client: &'a Client,
        queue: &'static str,
        task: Result<Task, serde_json::Error>,
    ) -> Self {
        Self { client, queue, task }
    }

    task_options!(task);
}

impl<'a> IntoFuture for Send<'a> {
    type Output = Result<TaskId, SendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + std::marker::Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.client.send_to(self.queue, self.task?).await?) })
    }
}
