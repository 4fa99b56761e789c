//! A task and the wait for its result, however often the line breaks.

use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use super::fetch::{Persistence, ending_of, task_of};
use super::{Connection, Ending, Request, Trouble, paths};

/// Puts a task into a queue and waits for its result.
///
/// When the line breaks, the request is repeated with its key, by which the server knows it again: the task is there
/// once, and the repeated request waits for the same result.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The queue.
    pub(crate) queue: String,
    /// The task's name, by which workers find the function.
    pub(crate) name: Option<HeaderValue>,
    /// The type of the body.
    pub(crate) content_type: HeaderValue,
    /// What the worker gets.
    pub(crate) body: Bytes,
    /// Makes a repeated request the same request.
    pub(crate) key: HeaderValue,
    /// How long to wait, broken lines included. Zero puts the task into the queue and leaves.
    pub(crate) wait: Duration,
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TASK_NAME: HeaderName = HeaderName::from_static("task-name");

impl Call {
    /// Calls until there is a result or the time is up.
    pub(crate) async fn make(&self, connection: &mut Connection, observe: impl FnMut(Trouble<'_>)) -> Ending {
        let mut persistence = Persistence::new(connection, self.wait, observe);
        let ending = match persistence.ask(&self.request()).await {
            Ok(answer) => ending_of(answer),
            Err(ending) => return ending,
        };
        match ending {
            // The server waits less long than the caller does.
            Ending::Late { task } if !persistence.remaining().is_zero() => persistence.fetch(&task).await,
            // Who does not wait is told where the task is, even if it has ended already.
            Ending::Succeeded(answer) if answer.location().is_some() => match task_of(&answer) {
                Some(task) => persistence.fetch(&task).await,
                None => Ending::Succeeded(answer),
            },
            ending => ending,
        }
    }

    fn request(&self) -> Request {
        let request = Request::new(Method::POST, paths::call(&self.queue))
            .body(self.content_type.clone(), self.body.clone())
            .header(IDEMPOTENCY_KEY, self.key.clone());
        match &self.name {
            Some(name) => request.header(TASK_NAME, name.clone()),
            None => request,
        }
    }
}
