//! A task whose result is waited for.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::task::task_options;
use crate::{CallError, Client, Reply, SendError, Task, TaskType};

/// A call with its options; await it for the result.
///
/// A call that is late or dropped does not stop its task.
#[derive(Debug)]
#[must_use = "a call is made when this is awaited"]
pub struct Call<'a, T> {
    client: &'a Client,
    queue: &'static str,
    task: Result<Task, serde_json::Error>,
    timeout: Duration,
    result: PhantomData<fn() -> T>,
}

/// As [`Call`], for a result that is bytes of any kind.
#[derive(Debug)]
#[must_use = "a call is made when this is awaited"]
pub struct CallRaw<'a> {
    client: &'a Client,
    queue: String,
    task: Task,
    timeout: Duration,
}

/// How long a call waits if it does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

impl<'a, T: TaskType> Call<'a, T> {
    pub(crate) fn new(client: &'a Client, payload: &T) -> Self {
        let task = Task::new(T::NAME, payload);
        Self { client, queue: T::QUEUE, task, timeout: TIMEOUT, result: PhantomData }
    }

    /// How long to wait for the result, the sending included. Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    task_options!(task);
}

impl<'a> CallRaw<'a> {
    pub(crate) fn new(client: &'a Client, queue: String, task: Task) -> Self {
        Self { client, queue, task, timeout: TIMEOUT }
    }

    /// How long to wait for the result, the sending included. Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<'a, T: TaskType> IntoFuture for Call<'a, T> {
    type Output = Result<T::Output, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let task = self.task.map_err(|error| CallError::Send(SendError::Encode(error)))?;
            let reply = self.client.answer(self.queue, task, self.timeout).await?;
            read(&reply)
        })
    }
}

impl<'a> IntoFuture for CallRaw<'a> {
    type Output = Result<Reply, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.client.answer(&self.queue, self.task, self.timeout).await })
    }
}

/// A worker that acks without an answer leaves an empty body, which is JSON's null to us.
fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, CallError> {
    let body: &[u8] = if reply.body.is_empty() { b"null" } else { &reply.body };
    serde_json::from_slice(body).map_err(|source| CallError::Decode { task_id: reply.task_id, source })
}
