//! What a worker tells the person at its terminal.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lease_worker::{Event, Task};

/// Writes lines to standard error, and counts.
#[derive(Debug)]
pub(super) struct Report {
    queue: String,
    is_verbose: bool,
    done: AtomicU64,
    failed: AtomicU64,
    given_back: AtomicU64,
}

impl Report {
    pub(super) fn new(queue: &str, is_verbose: bool) -> Self {
        let zero = AtomicU64::default;
        Self { queue: queue.to_owned(), is_verbose, done: zero(), failed: zero(), given_back: zero() }
    }

    /// The first line.
    pub(super) fn begin(&self, address: &str, concurrency: usize) {
        let at_once =
            if concurrency == 1 { "one at a time".to_owned() } else { format!("{concurrency} at once") };
        eprintln!("forebay: working on '{}' at {address}, {at_once}; Ctrl-C ends it", self.queue);
    }

    /// Tells of an event. Successes are not worth a line unless they were asked for.
    pub(super) fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Completed(_) => count(&self.done),
            Event::Failed { .. } | Event::Lost { .. } => count(&self.failed),
            Event::Released(_) | Event::Cancelled(_) => count(&self.given_back),
            Event::BrokerAway(_) | Event::BrokerBack | Event::QueueMade | Event::Taken(_) => {}
        }
        if let Some(line) = line(event, self.is_verbose) {
            eprintln!("forebay: {line}");
        }
    }

    /// The last line.
    pub(super) fn summary(&self) {
        let [done, failed, given_back] =
            [&self.done, &self.failed, &self.given_back].map(|counter| counter.load(Ordering::Relaxed));
        eprintln!("forebay: {done} done, {failed} failed, {given_back} given back or cancelled");
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn line(event: &Event<'_>, is_verbose: bool) -> Option<String> {
    Some(match event {
        Event::BrokerAway(reason) => format!("{reason}; trying again until it works"),
        Event::BrokerBack => "the broker is back".to_owned(),
        Event::QueueMade => "the queue was missing and has been made".to_owned(),
        Event::Taken(task) if is_verbose => format!("{}: attempt {} begins", title(task), task.attempt),
        Event::Completed(task) if is_verbose => format!("{}: done", title(task)),
        Event::Taken(_) | Event::Completed(_) => return None,
        Event::Failed { task, reason, again } => {
            let then = if *again { "there will be another attempt" } else { "it is given up" };
            format!("{}: attempt {} failed; {then}. {reason}", title(task), task.attempt)
        }
        Event::Released(task) => format!("{}: given back", title(task)),
        Event::Cancelled(task) => format!("{}: cancelled", title(task)),
        Event::Lost { task, reason } => format!("{}: not settled. {reason}", title(task)),
    })
}

fn title(task: &Task) -> String {
    if task.name.is_empty() {
        format!("task {}", task.id)
    } else {
        format!("task {} ({})", task.id, task.name)
    }
}
