//! What a worker has to tell.

use super::Task;

/// Something that whoever runs a worker may want to know.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// The broker is away; it is tried again and again.
    BrokerAway(&'a str),
    /// The broker is back.
    BrokerBack,
    /// The queue was missing and has been made.
    QueueMade,
    /// A task was taken.
    Taken(&'a Task),
    /// A task is done, and the broker knows it.
    Completed(&'a Task),
    /// An attempt failed, and the broker knows it.
    Failed {
        /// The task.
        task: &'a Task,
        /// What went wrong.
        reason: &'a str,
        /// Whether there will be another attempt.
        again: bool,
    },
    /// A task was given back unharmed.
    Released(&'a Task),
    /// A task was taken back by command; the work was interrupted.
    Cancelled(&'a Task),
    /// A task was taken away; whatever was done for it, the broker stored nothing.
    Lost {
        /// The task.
        task: &'a Task,
        /// The broker's words.
        reason: &'a str,
    },
}
