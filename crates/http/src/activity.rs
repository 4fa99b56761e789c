//! Whether anything happens on a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts the requests of one connection, from their heads to the ends of their answers.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    became_idle: Notify,
    /// The client does not take what was written: bytes of an answer are still in memory.
    pub(crate) is_write_blocked: AtomicBool,
}

/// A request under way; dropped when it ends.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Activity>);

impl Activity {
    /// A request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::SeqCst);
        UnderWay(Arc::clone(self))
    }

    /// Waits until nothing has happened for so long.
    pub(crate) async fn quiet(&self, time: Duration) {
        loop {
            self.idle().await;
            let begun = self.begun.load(Ordering::SeqCst);
            tokio::time::sleep(time).await;
            let is_same = begun == self.begun.load(Ordering::SeqCst) && begun > 0;
            if is_same && self.is_idle() && !self.is_write_blocked.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Waits until no request is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let notified = self.became_idle.notified();
            if self.is_idle() {
                return;
            }
            notified.await;
        }
    }

    fn is_idle(&self) -> bool {
        // In this order: a request that begins and ends in between makes it look busy, never idle.
        let ended = self.ended.load(Ordering::SeqCst);
        ended == self.begun.load(Ordering::SeqCst)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        if self.0.is_idle() {
            self.0.became_idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_when_nothing_happened_for_a_while() {
        let activity = Arc::new(Activity::default());
        let quiet = |activity: Arc<Activity>| async move {
            tokio::time::timeout(Duration::from_secs(10), activity.quiet(Duration::from_secs(1)))
                .await
                .is_ok()
        };
        // Nothing was ever asked: whoever waits for the first request decides.
        assert!(!quiet(Arc::clone(&activity)).await);
        let request = activity.begin();
        assert!(!quiet(Arc::clone(&activity)).await);
        drop(request);
        assert!(quiet(Arc::clone(&activity)).await);
        activity.is_write_blocked.store(true, Ordering::SeqCst);
        assert!(!quiet(activity).await);
    }
}
