//! How many bytes of bodies are being received, over all connections.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// Bytes of one permit.
const GRAIN_BYTES: usize = 1024;

/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for the bodies of all requests together.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    grains: Arc<Semaphore>,
}

/// Room that one request has taken; it comes back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room {
    taken: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl BodyBudget {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let grains = (bytes / GRAIN_BYTES).clamp(1, u32::MAX as usize);
        Self { grains: Arc::new(Semaphore::new(grains.min(Semaphore::MAX_PERMITS))) }
    }

    /// Takes room for `more` bytes: what has come already and what comes may lie in memory.
    ///
    /// # Errors
    /// 503 `too-busy` when there is none for a while.
    pub(crate) async fn take(&self, room: &mut Room, more: usize) -> Result<(), Problem> {
        let has = room.bytes.div_ceil(GRAIN_BYTES);
        room.bytes += more;
        let needs = room.bytes.div_ceil(GRAIN_BYTES) - has;
        if needs == 0 {
            return Ok(());
        }
        let needs = u32::try_from(needs).unwrap_or(u32::MAX);
        let taking = Arc::clone(&self.grains).acquire_many_owned(needs);
        let Ok(Ok(taken)) = tokio::time::timeout(PATIENCE, taking).await else { return Err(busy()) };
        match &mut room.taken {
            Some(before) => before.merge(taken),
            none => *none = Some(taken),
        }
        Ok(())
    }
}

fn busy() -> Problem {
    let detail =
        "too many large requests are being received at once; nothing of this one was stored, send it again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-busy", "Too busy", detail).retry_after(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn room_is_bounded_and_comes_back() {
        let budget = BodyBudget::new(10 * GRAIN_BYTES);
        let (mut one, mut two) = (Room::default(), Room::default());
        budget.take(&mut one, 1).await.unwrap();
        budget.take(&mut one, 8 * GRAIN_BYTES).await.unwrap();
        assert!(budget.take(&mut two, 2 * GRAIN_BYTES).await.is_err());
        drop(one);
        budget.take(&mut two, 10 * GRAIN_BYTES - 2 * GRAIN_BYTES).await.unwrap();
    }
}
