//! The demonstration: what a queue between a web service and a slow provider changes, measured on this machine.
//!
//! ```text
//!                                    ┌─ chapter 1 ─────────────────────────────────┐
//!  callers ── HTTP ──> web service ──┤                                             ├──> provider (4 at once, 20 ms each)
//!     │                              └─ chapter 2 ──> broker ──> worker processes ─┘
//!     └───────────────── chapter 3 ─────────────────────^
//! ```
//!
//! The provider, the web service and the callers live in this process; the broker and the workers are processes of
//! their own, so that they can be killed. Nothing is scripted but who does what when: all figures are measured, and all
//! that is said of messages is counted by the provider's ledger.

mod backlog;
mod broker;
mod chapters;
mod child;
mod crowd;
mod latency;
mod provider;
mod report;
mod scale;
mod screen;
mod site;
mod sms;
mod stage;
mod web_service;
mod worker;
mod worker_process;

use std::io;

pub(crate) use report::Report;
pub(crate) use scale::Scale;
pub(crate) use screen::Screen;
pub(crate) use worker::work;

/// The demonstration cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The operating system refuses something.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// The broker does not become ready.
    #[error("the broker did not start; its log ends with:\n{log_tail}")]
    BrokerNotReady {
        /// The last lines that it has logged.
        log_tail: String,
    },
    /// The workers do not begin to work.
    #[error("the workers did not begin to ask for tasks; their log ends with:\n{log_tail}")]
    NoWorkers {
        /// The last lines that they have logged.
        log_tail: String,
    },
    /// The broker refuses to make the queue.
    #[error("the broker does not make the queue: {problem}")]
    NoQueue {
        /// Its words.
        problem: String,
    },
    /// So few descriptors may be open that there is no room for callers.
    #[error(
        "{limit} descriptors may be open, {needed} are needed; raise the limit with `ulimit -n {needed}`"
    )]
    Descriptors {
        /// How many may be open.
        limit: u64,
        /// How many are needed.
        needed: u64,
    },
}

impl DemoError {
    fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

/// Plays all chapters, and returns what was measured.
///
/// # Errors
/// When the machine or the broker does not let it be played to the end.
pub(crate) async fn play(scale: Scale, screen: Screen) -> Result<Report, DemoError> {
    let mut stage = stage::Stage::set(scale, screen).await?;
    let direct = chapters::direct::play(&mut stage).await?;
    let queued = chapters::queued::play(&mut stage).await?;
    let waiting = chapters::waiting::play(&mut stage).await?;
    Ok(Report { direct, queued, waiting })
}
