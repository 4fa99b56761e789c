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
    /// The last request may wait without what received it.
    can_wait: AtomicBool,
    /// The request under way was received whole, may wait, and nothing of its answer is there.
    is_waiting: AtomicBool,
    /// Grows with everything that happens.
    events: AtomicU64,
    changed: Notify,
    /// The client does not take what was written: bytes of an answer are still in memory.
    pub(crate) is_write_blocked: AtomicBool,
}

/// A request under way; dropped when it ends.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Activity>);

impl Activity {
    /// A request begins; `can_wait` when it counts as still while it waits for its answer.
    pub(crate) fn begin(self: &Arc<Self>, can_wait: bool) -> UnderWay {
        self.can_wait.store(can_wait, Ordering::SeqCst);
        self.is_waiting.store(false, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.happened();
        UnderWay(Arc::clone(self))
    }

    /// The request was received whole.
    pub(crate) fn received(&self) {
        self.is_waiting.store(self.can_wait.load(Ordering::SeqCst), Ordering::SeqCst);
        self.happened();
    }

    /// The request's answer begins.
    pub(crate) fn answered(&self) {
        self.is_waiting.store(false, Ordering::SeqCst);
        self.happened();
    }

    /// How many requests have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Waits until nothing has happened for so long, and no request is under way.
    pub(crate) async fn quiet(&self, time: Duration) {
        self.lasts(time, Self::is_idle).await;
    }

    /// Waits until nothing has happened for so long on a connection that has one request at a time: at least so many have
    /// begun and all have ended, or the last waits for its answer.
    pub(crate) async fn still(&self, begun_min: u64, time: Duration) {
        let is_still =
            |now: &Self| now.begun() >= begun_min && (now.is_idle() || now.is_waiting.load(Ordering::SeqCst));
        self.lasts(time, is_still).await;
    }

    /// Waits until no request is under way.
    pub(crate) async fn idle(&self) {
        self.becomes(&Self::is_idle).await;
    }

    async fn lasts(&self, time: Duration, is_so: impl Fn(&Self) -> bool) {
        loop {
            self.becomes(&is_so).await;
            let events = self.events.load(Ordering::SeqCst);
            tokio::time::sleep(time).await;
            let is_same = events == self.events.load(Ordering::SeqCst);
            if is_same && is_so(self) && !self.is_write_blocked.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    async fn becomes(&self, is_so: &impl Fn(&Self) -> bool) {
        loop {
            // Made before the look, so that nothing is missed between the two.
            let changed = self.changed.notified();
            if is_so(self) {
                return;
            }
            changed.await;
        }
    }

    fn is_idle(&self) -> bool {
        // In this order: a request that begins and ends in between makes it look busy, never idle.
        let ended = self.ended.load(Ordering::SeqCst);
        ended == self.begun.load(Ordering::SeqCst)
    }

    fn happened(&self) {
        self.events.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        self.0.happened();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn within_ten_seconds(wait: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(10 * SECOND, wait).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_when_nothing_happened_for_a_while() {
        let activity = Arc::new(Activity::default());
        assert!(within_ten_seconds(activity.quiet(SECOND)).await);
        let request = activity.begin(true);
        assert!(!within_ten_seconds(activity.quiet(SECOND)).await);
        drop(request);
        assert!(within_ten_seconds(activity.quiet(SECOND)).await);
        activity.is_write_blocked.store(true, Ordering::SeqCst);
        assert!(!within_ten_seconds(activity.quiet(SECOND)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_is_still() {
        let activity = Arc::new(Activity::default());
        // Nothing was asked: whoever waits for the first request decides.
        assert!(!within_ten_seconds(activity.still(1, SECOND)).await);
        let request = activity.begin(true);
        assert!(!within_ten_seconds(activity.still(1, SECOND)).await);
        activity.received();
        assert!(within_ten_seconds(activity.still(1, SECOND)).await);
        activity.answered();
        assert!(!within_ten_seconds(activity.still(1, SECOND)).await);
        drop(request);
        assert!(within_ten_seconds(activity.still(1, SECOND)).await);
        assert!(!within_ten_seconds(activity.still(2, SECOND)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_may_not_wait_is_not_still() {
        let activity = Arc::new(Activity::default());
        let _request = activity.begin(false);
        activity.received();
        assert!(!within_ten_seconds(activity.still(1, SECOND)).await);
    }
}
