//! One delivery, from its handler to its end.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_client::link::Link;
use tokio::task::{JoinError, JoinHandle};

use crate::conclusion::{Conclusion, conclude, release};
use crate::consumer::Command;
use crate::delivery::Delivery;
use crate::handlers::{Handler, Handlers};
use crate::{Cx, Fail, Job, Output};

/// What all attempts of a worker share.
pub(crate) struct Attempts {
    pub(crate) handlers: Handlers,
    pub(crate) link: Link<Command>,
    pub(crate) strangers: Strangers,
}

/// Warns about tasks that have no handler, but not about each.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    warned_at: Mutex<Option<Instant>>,
}

const WARN_EVERY: Duration = Duration::from_secs(10);

impl Attempts {
    /// Runs the handler of a delivery and tells the broker what came of it.
    pub(crate) async fn run(self: Arc<Self>, delivery: Delivery) {
        let cancelled = delivery.cancelled.clone();
        let Conclusion { finish, wait } = self.conclude(delivery).await;
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The message goes back by itself then.
                () = cancelled.cancelled() => return,
            }
        }
        if self.link.send(Command::Finish(finish)).await.is_err() {
            tracing::debug!("a result is dropped: the worker has ended");
        }
    }

    async fn conclude(&self, delivery: Delivery) -> Conclusion {
        let Delivery { lease, queue, content, cancelled } = delivery;
        let request = content.properties;
        let name = request.kind.as_ref().map(ToString::to_string).unwrap_or_default();
        let Some(handler) = self.handlers.find(&queue, &name) else {
            self.strangers.warn(&queue, &name);
            return release(lease);
        };
        let cx = Cx::new(&request, cancelled);
        let job = Job {
            queue,
            name,
            content_type: request.content_type.as_ref().map(ToString::to_string),
            body: content.body,
            headers: request.headers.clone().unwrap_or_default(),
        };
        let outcome = call(handler.clone(), job, cx.clone()).await;
        conclude(lease, &request, outcome, cx.close())
    }
}

/// Calls a handler on a task of its own, so that its panic ends the attempt and nothing else.
async fn call(handler: Handler, job: Job, cx: Cx) -> Result<Output, Fail> {
    let (queue, name, task_id) = (job.queue.clone(), job.name.clone(), cx.task_id());
    let mut running = Running(tokio::spawn(async move { handler(job, cx).await }));
    let outcome = (&mut running.0).await.unwrap_or_else(|error| Err(panicked(error)));
    if let Err(fail) = &outcome {
        let task_id = task_id.map(|id| id.to_string());
        tracing::warn!(queue, name, task_id, "an attempt failed: {fail}");
    }
    outcome
}

/// A handler that ends with whoever waits for it.
struct Running(JoinHandle<Result<Output, Fail>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn panicked(error: JoinError) -> Fail {
    match error.try_into_panic() {
        Ok(panic) => Fail::retry("the handler panicked").detail(text_of(&*panic)),
        Err(_) => Fail::retry("the handler was stopped"),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

impl Strangers {
    fn warn(&self, queue: &str, name: &str) {
        let now = Instant::now();
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if warned_at.is_none_or(|at| now.duration_since(at) >= WARN_EVERY) {
            *warned_at = Some(now);
            tracing::warn!(
                queue,
                name,
                "there is no handler for tasks of this name; they go back to the queue"
            );
        }
    }
}
