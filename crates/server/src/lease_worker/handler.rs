//! What does the work.

use tokio::sync::watch;

use super::{Outcome, Task};

/// Does the work of a task.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Works, and says what came of it. When it is interrupted, it has to end soon, and what it says then is not
    /// listened to.
    fn handle(&self, task: &Task, interruption: Interruption) -> impl Future<Output = Outcome> + Send;
}

/// The word that work is no longer wanted.
#[derive(Debug)]
pub(crate) struct Interruption(watch::Receiver<bool>);

/// The end that says it. When it is dropped, nobody listens to the handler any more.
#[derive(Debug)]
pub(super) struct Interrupter(watch::Sender<bool>);

impl Interrupter {
    pub(super) fn new() -> (Self, Interruption) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Interruption(receiver))
    }

    pub(super) fn interrupt(&self) {
        self.0.send_replace(true);
    }
}

impl Interruption {
    /// One that comes when the other value is dropped, for tests of handlers.
    #[cfg(test)]
    pub(crate) fn never() -> (impl Send, Self) {
        Interrupter::new()
    }

    /// Waits for the interruption.
    pub(crate) async fn wait(&mut self) {
        // A sender that is gone counts as well.
        let _ = self.0.wait_for(|interrupted| *interrupted).await;
    }
}
