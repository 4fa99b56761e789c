//! In which phase of its life the server is, and how everyone hears of it.

use std::sync::Arc;

use tokio::sync::watch;

/// What the server is about.
///
/// ```text
///   Serving ──> Stopping
///      └──────> Failed
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes connections.
    Serving,
    /// It was asked to stop and says goodbye to its clients.
    Stopping,
    /// It can keep no promise any more, because of this.
    Failed(Arc<str>),
}

/// Tells everyone about the phase. The first end wins: nothing follows `Stopping` or `Failed`.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: watch::Sender<Phase>,
}

impl Lifecycle {
    /// A server that serves.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }

    /// The server was asked to stop.
    pub(crate) fn stop(&self) {
        self.end(Phase::Stopping);
    }

    /// The server can't go on. May be called from any thread, again and again.
    pub(crate) fn fail(&self, reason: &str) {
        self.end(Phase::Failed(reason.into()));
    }

    fn end(&self, end: Phase) {
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Serving;
            if first {
                *phase = end;
            }
            first
        });
    }

    /// The phase now.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Waits until the server no longer serves, and says how it ends.
    pub(crate) async fn ended(&self) -> Phase {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let ended = phases.wait_for(|phase| *phase != Phase::Serving).await;
        ended.map_or(Phase::Stopping, |phase| phase.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_wins() {
        let lifecycle = Lifecycle::new();
        lifecycle.fail("disk on fire");
        lifecycle.stop();
        lifecycle.fail("again");
        assert_eq!(lifecycle.phase(), Phase::Failed("disk on fire".into()));
    }
}
