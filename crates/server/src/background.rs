//! Work that may take its time: it has the processor when nobody else wants it.

use std::cell::Cell;
use std::io;
use std::thread;

use journal::storage::GivingWay;
use tokio::sync::{Semaphore, oneshot};

/// So much of it is done at the same time.
static TURNS: Semaphore = Semaphore::const_new(8);

/// What the system takes off the thread's claim to the processor, from 0 to 19: a tenth of what others get, where they all want it.
const NICENESS: i32 = 10;

/// Does the work on a thread of its own, which gives way to others. No lock that others wait for may be taken there: its holder would
/// give way, too.
///
/// # Errors
/// It has panicked, or there is no thread for it.
pub(crate) async fn run<Outcome: Send + 'static>(
    work: impl FnOnce() -> Outcome + Send + 'static,
) -> io::Result<Outcome> {
    let _turn = TURNS.acquire().await;
    let (sender, outcome) = oneshot::channel();
    thread::Builder::new().name("background".into()).spawn(move || {
        // On Linux this is the thread alone. Where it may not, it competes with the others.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        WAY.set(Some(GivingWay::new()));
        let _ = sender.send(work());
    })?;
    outcome.await.map_err(|_| io::Error::other("it panicked"))
}

thread_local! {
    /// In the background: how it gives way.
    static WAY: Cell<Option<GivingWay>> = const { Cell::new(None) };
}

/// Lets others have the processor, if this is work in the background.
pub(crate) fn give_way() {
    if let Some(mut way) = WAY.get() {
        way.step();
        WAY.set(Some(way));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_by_a_thread_that_gives_way_and_a_panic_is_told() {
        let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = niceness();
        assert_eq!(run(niceness).await.unwrap(), before.max(NICENESS));
        assert_eq!(niceness(), before, "nobody else is slowed down");
        assert!(run(|| panic!("as the test wants it")).await.is_err());
    }
}
