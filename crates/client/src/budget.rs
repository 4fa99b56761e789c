//! How much may be under way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound on the number and the memory of messages under way. Who comes above it waits.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    messages: Arc<Semaphore>,
    kilobytes: Arc<Semaphore>,
    kilobytes_max: usize,
}

/// A share of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _message: OwnedSemaphorePermit,
    _kilobytes: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        // More than this the semaphore cannot count in one share, and a gigabyte under way serves nobody.
        let kilobytes_max = (bytes_max / 1024).clamp(1, 1 << 30);
        let messages = Arc::new(Semaphore::new(messages_max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { messages, kilobytes: Arc::new(Semaphore::new(kilobytes_max)), kilobytes_max }
    }

    /// Waits until there is room for one message of this size. One that is larger than everything goes alone.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        const NEVER_CLOSED: &str = "nobody closes the semaphores of a budget";
        let kilobytes = bytes.div_ceil(1024).clamp(1, self.kilobytes_max) as u32;
        let message = self.messages.clone().acquire_owned().await.expect(NEVER_CLOSED);
        let kilobytes = self.kilobytes.clone().acquire_many_owned(kilobytes).await.expect(NEVER_CLOSED);
        Share { _message: message, _kilobytes: kilobytes }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn check_waits(budget: &Budget, bytes: usize) {
        assert!(timeout(Duration::from_millis(20), budget.take(bytes)).await.is_err());
    }

    #[tokio::test]
    async fn the_number_is_bounded() {
        let budget = Budget::new(2, 1 << 20);
        let (first, _second) = (budget.take(1).await, budget.take(1).await);
        check_waits(&budget, 1).await;
        drop(first);
        budget.take(1).await;
    }

    #[tokio::test]
    async fn the_memory_is_bounded_and_a_giant_goes_alone() {
        let budget = Budget::new(10, 4096);
        let giant = budget.take(1 << 30).await;
        check_waits(&budget, 1).await;
        drop(giant);
        let _most = budget.take(3000).await;
        check_waits(&budget, 2048).await;
        budget.take(1024).await;
    }
}
