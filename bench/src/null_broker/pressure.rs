//! What tells publishers to wait for consumers.

use std::cell::Cell;

use tokio::sync::Notify;

/// With more than this many bytes on the way to clients, publishers are not read.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many bytes wait to be written to clients.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    waiting_bytes: Cell<usize>,
    eased: Notify,
}

impl Pressure {
    /// Bytes have come.
    pub(super) fn add(&self, bytes: usize) {
        self.waiting_bytes.set(self.waiting_bytes.get() + bytes);
    }

    /// Bytes are written, or will never be.
    pub(super) fn remove(&self, bytes: usize) {
        let was_high = self.is_high();
        self.waiting_bytes.set(self.waiting_bytes.get() - bytes);
        if was_high && !self.is_high() {
            self.eased.notify_waiters();
        }
    }

    /// Waits until publishers may be read.
    pub(super) async fn wait(&self) {
        while self.is_high() {
            self.eased.notified().await;
        }
    }

    fn is_high(&self) -> bool {
        self.waiting_bytes.get() > WAITING_BYTES_MAX
    }
}
