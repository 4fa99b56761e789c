//! A worker over HTTP: takes tasks by lease, keeps the leases while the work is done, and settles them.
//!
//! [`LeaseWorker`] has a number of slots. Each slot has one line to the broker and does one task at a time: it asks for
//! a task and waits, gives it to the [`Handler`], extends the lease meanwhile, and says what came of it. Slots know
//! nothing of each other, so that one slow task holds up nobody.
//!
//! ```text
//!            ┌──────────── nothing to do ───────────┐
//!  lease ────┴──> handler works, lease is kept ──> settled
//!                        │ cancelled, lost: the handler is interrupted, nothing is said
//!                        └ told to stop:    the handler is interrupted, the task is released
//! ```

mod event;
mod handler;
mod held;
mod line;
mod outcome;
mod queue;
mod slot;
mod stop;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

pub(crate) use event::Event;
pub(crate) use handler::{Handler, Interruption};
pub(crate) use outcome::Outcome;
pub(crate) use stop::{Stop, Stopper};
pub(crate) use task::Task;

use crate::http_client::{Access, Problem};
use line::Line;
use slot::Slot;

/// What to work on, and how.
#[derive(Debug)]
pub(crate) struct LeaseWorker<H> {
    /// The broker.
    pub(crate) access: Access,
    /// The queue. Made, as a task queue, if it is missing.
    pub(crate) queue: String,
    /// Who works, as the broker shows it.
    pub(crate) name: String,
    /// How long the broker waits for a sign of life before it gives a task to somebody else. Extended three times
    /// as often as needed. 1 s to 1 h.
    pub(crate) lease: Duration,
    /// Tasks at once, each over a line of its own.
    pub(crate) concurrency: usize,
    /// What does the work.
    pub(crate) handler: H,
}

/// The broker does not give this worker anything.
#[derive(Debug, thiserror::Error)]
#[error("the broker refuses: {0}")]
pub(crate) struct Refused(pub(crate) Problem);

impl<H: Handler> LeaseWorker<H> {
    /// Works until it is told to stop, and then until what it holds is done or given back. A broker that is away is
    /// waited for.
    ///
    /// # Errors
    /// When the broker refuses to give tasks; what was under way is finished first.
    pub(crate) async fn run(
        self,
        stop: Stop,
        observe: impl Fn(Event<'_>) + Send + Sync + 'static,
    ) -> Result<(), Refused> {
        let line = Arc::new(Line::new(observe));
        queue::make_if_missing(&self.access, &self.queue, &line, &stop).await?;
        let worker = Arc::new(self);
        // A slot that is refused ends the others too, but only their asking for more.
        let (refused, stop) = stop.or();
        let mut slots = JoinSet::new();
        for _ in 0..worker.concurrency {
            slots.spawn(Slot::new(Arc::clone(&worker), Arc::clone(&line)).run(stop.clone()));
        }
        let mut outcome = Ok(());
        while let Some(ended) = slots.join_next().await {
            if let Err(refusal) = ended.expect("a slot does not panic and is not aborted") {
                refused.drain();
                outcome = outcome.and(Err(refusal));
            }
        }
        outcome
    }
}
