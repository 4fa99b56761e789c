//! Who handles what.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;

use forebay_client::TaskType;

use crate::{Cx, Fail, Job, Output};

/// What a handler answers, in time.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Output, Fail>> + Send>>;

/// A handler, whatever it is made of.
pub(crate) type Handler = Arc<dyn Fn(Job, Cx) -> Answer + Send + Sync>;

/// All handlers of a worker, by queue and name.
#[derive(Default)]
pub(crate) struct Handlers {
    queues: BTreeMap<String, QueueHandlers>,
    /// The first queue and name that were given two.
    pub(crate) duplicate: Option<(String, String)>,
}

#[derive(Default)]
struct QueueHandlers {
    by_name: HashMap<String, Handler>,
    /// For names that have none of their own.
    any: Option<Handler>,
}

impl Handlers {
    /// For the tasks of one name.
    pub(crate) fn add(&mut self, queue: &str, name: &str, handler: Handler) {
        let of_queue = self.queues.entry(queue.to_owned()).or_default();
        if of_queue.by_name.insert(name.to_owned(), handler).is_some() {
            self.duplicate.get_or_insert((queue.to_owned(), name.to_owned()));
        }
    }

    /// For whatever else comes from a queue.
    pub(crate) fn add_any(&mut self, queue: &str, handler: Handler) {
        let of_queue = self.queues.entry(queue.to_owned()).or_default();
        if of_queue.any.replace(handler).is_some() {
            self.duplicate.get_or_insert((queue.to_owned(), "any name".to_owned()));
        }
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = &str> {
        self.queues.keys().map(String::as_str)
    }

    pub(crate) fn find(&self, queue: &str, name: &str) -> Option<&Handler> {
        let of_queue = self.queues.get(queue)?;
        of_queue.by_name.get(name).or(of_queue.any.as_ref())
    }
}

/// A handler for a type of task.
pub(crate) fn typed<T, F, Fut>(handler: F) -> Handler
where
    T: TaskType,
    F: Fn(T, Cx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T::Output, Fail>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |job, cx| {
        let handler = handler.clone();
        Box::pin(async move {
            let payload = read(&job)?;
            write::<T>(&handler(payload, cx).await?)
        })
    })
}

/// A handler for a type of task that blocks its thread.
pub(crate) fn blocking<T, F>(handler: F) -> Handler
where
    T: TaskType,
    F: Fn(T, Cx) -> Result<T::Output, Fail> + Send + Sync + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |job, cx| {
        let handler = handler.clone();
        Box::pin(async move {
            let payload = read::<T>(&job)?;
            match tokio::task::spawn_blocking(move || handler(payload, cx)).await {
                Ok(result) => write::<T>(&result?),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    Err(_) => Err(Fail::retry("the runtime ended")),
                },
            }
        })
    })
}

/// A handler for bytes.
pub(crate) fn raw<F, Fut>(handler: F) -> Handler
where
    F: Fn(Job, Cx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Output, Fail>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |job, cx| {
        let handler = handler.clone();
        Box::pin(async move { handler(job, cx).await })
    })
}

/// A payload of another shape stays so, however often it is tried.
fn read<T: TaskType>(job: &Job) -> Result<T, Fail> {
    job.json()
        .map_err(|error| Fail::fatal(format_args!("the payload is no {}", T::NAME)).detail(error).status(422))
}

fn write<T: TaskType>(output: &T::Output) -> Result<Output, Fail> {
    Output::json(output).map_err(|error| Fail::fatal("the result cannot be written as JSON").detail(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &'static str) -> Handler {
        raw(move |_, _| async move { Err(Fail::fatal(name)) })
    }

    async fn check(handlers: &Handlers, queue: &str, name: &str, expected: Option<&str>) {
        let job = Job {
            queue: String::new(),
            name: String::new(),
            content_type: None,
            body: Default::default(),
            headers: Default::default(),
        };
        let cx = Cx::new(&Default::default(), Default::default());
        let found = match handlers.find(queue, name) {
            Some(handler) => Some(handler(job, cx).await.unwrap_err().to_string()),
            None => None,
        };
        assert_eq!(found.as_deref(), expected, "{name} of {queue}");
    }

    #[tokio::test]
    async fn a_name_of_its_own_goes_before_any() {
        let mut handlers = Handlers::default();
        handlers.add("a", "one", named("a one"));
        handlers.add("b", "one", named("b one"));
        handlers.add_any("b", named("b any"));
        check(&handlers, "a", "one", Some("a one")).await;
        check(&handlers, "a", "two", None).await;
        check(&handlers, "b", "one", Some("b one")).await;
        check(&handlers, "b", "two", Some("b any")).await;
        check(&handlers, "c", "one", None).await;
        assert!(handlers.duplicate.is_none());
        handlers.add("a", "one", named("again"));
        assert_eq!(handlers.duplicate, Some(("a".to_owned(), "one".to_owned())));
    }
}
