//! A request to the core that is under way.

use std::future::poll_fn;
use std::sync::Arc;

use broker::{Effect, Envelope, LeaseId, RequestTag, Standalone};
use tokio::runtime::Handle;

use crate::line::Line;
use crate::problem::Problem;
use crate::refusal;
use crate::switchboard::{Patience, ends_leasing};

/// A request to the core that is under way. Dropped before its end, it takes back what it asked for.
#[derive(Debug)]
pub(crate) struct Ticket {
    line: Arc<Line>,
    tag: RequestTag,
    interest: Interest,
}

/// What has to be taken back when nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Nothing: the answer comes by itself.
    Answer,
    /// The core keeps a watch on a task.
    Watch,
    /// The core may wait for tasks, and each that comes is held.
    Lease,
}

impl Ticket {
    /// For a request whose place on the line's board is open.
    pub(crate) fn new(line: Arc<Line>, tag: RequestTag, interest: Interest) -> Self {
        Self { line, tag, interest }
    }

    /// The next effect, for which something has to happen that may take long.
    ///
    /// # Errors
    /// The core's refusal; 503 when the server stops or has failed.
    pub(crate) async fn next(&mut self) -> Result<Effect<Envelope>, Problem> {
        self.effect(Patience::WhileServing).await
    }

    /// The next effect, which comes by itself: a server that stops still gives it.
    ///
    /// # Errors
    /// The core's refusal; 503 when the server has failed.
    pub(crate) async fn soon(&mut self) -> Result<Effect<Envelope>, Problem> {
        self.effect(Patience::WhileStopping).await
    }

    async fn effect(&mut self, patience: Patience) -> Result<Effect<Envelope>, Problem> {
        let next = poll_fn(|context| self.line.board().poll_next(self.tag, patience, context)).await;
        let effect = next.map_err(|_closed| self.line.unavailable())?;
        let is_last = match self.interest {
            Interest::Answer => true,
            Interest::Watch => matches!(effect, Effect::Task { .. } | Effect::Refused { .. }),
            Interest::Lease => ends_leasing(&effect),
        };
        if is_last {
            self.interest = Interest::Answer;
        }
        match effect {
            Effect::Refused { refusal, .. } => Err(refusal::problem(*refusal)),
            effect => Ok(effect),
        }
    }

    /// Asks for an end to the wait for tasks. What has been granted still comes, then `LeasesGranted`.
    pub(crate) fn stop_leasing(&self) {
        if self.interest == Interest::Lease {
            self.line.tell(Standalone::StopLeasing { waiting: self.tag });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let is_leasing = self.interest == Interest::Lease;
        let unseen = self.line.board().forget(self.tag, is_leasing);
        match self.interest {
            Interest::Answer => {}
            Interest::Watch => self.line.tell(Standalone::StopWatching { watch: self.tag }),
            Interest::Lease => {
                self.line.tell(Standalone::StopLeasing { waiting: self.tag });
                // What was granted before the core heard of it is on its way still. Outside of a runtime the process
                // ends, and leases end with their time.
                if let Ok(runtime) = Handle::try_current() {
                    let line = Arc::clone(&self.line);
                    runtime.spawn(async move { line.give_back().await });
                }
            }
        }
        release(&self.line, unseen);
    }
}

/// Gives tasks back unharmed whose lease no worker has heard of.
pub(crate) fn release(line: &Line, leases: Vec<LeaseId>) {
    for lease in leases {
        line.tell(Standalone::Release { lease, delay_ms: 0 });
    }
}
