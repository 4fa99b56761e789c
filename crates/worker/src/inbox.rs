//! Deliveries between the thread of the connection and the program's runtime.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::WorkerError;
use crate::delivery::Delivery;

/// What has come and has not been taken. Bounded by what the subscriptions ask for: the broker sends no more before
/// something is settled.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// One permit is enough: one loop takes.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    deliveries: VecDeque<Delivery>,
    failed: Option<WorkerError>,
}

impl Inbox {
    pub(crate) fn push(&self, delivery: Delivery) {
        self.lock().deliveries.push_back(delivery);
        self.changed.notify_one();
    }

    /// The channel of a subscription is gone, and with it the right to what came on it.
    pub(crate) fn discard(&self, subscription: usize) {
        self.lock().deliveries.retain(|delivery| delivery.lease.subscription != subscription);
    }

    /// The worker cannot go on.
    pub(crate) fn fail(&self, error: WorkerError) {
        self.lock().failed.get_or_insert(error);
        self.changed.notify_one();
    }

    /// The next delivery. May be dropped while it waits.
    pub(crate) async fn next(&self) -> Result<Delivery, WorkerError> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Option<Result<Delivery, WorkerError>> {
        let mut state = self.lock();
        if let Some(error) = state.failed.take() {
            return Some(Err(error));
        }
        state.deliveries.pop_front().map(Ok)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
