//! Where a connection's effects wait until its socket task fetches them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use engine::Released;

/// A mailbox between the engine and one socket task.
///
/// The engine fills it with its own lock held, so nothing here waits. The task empties it by a swap: both sides
/// keep reusing the same two buffers. What can pile up is bounded by the engine's delivery window.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    effects: VecDeque<Released>,
    /// Something changed beside the effects, such as the credit to publish.
    nudged: bool,
    /// The task sleeps and wants to be woken.
    sleeper: Option<Waker>,
}

impl Mailbox {
    /// Swaps what has come into `fetched`, which has to be empty.
    pub(crate) fn fetch(&self, fetched: &mut VecDeque<Released>) {
        debug_assert!(fetched.is_empty());
        std::mem::swap(&mut self.lock().effects, fetched);
    }

    /// How many effects wait to be fetched.
    pub(crate) fn len(&self) -> usize {
        self.lock().effects.len()
    }

    /// Ready when there is something to fetch or the engine gave a nudge; otherwise wakes the task later.
    pub(crate) fn poll_news(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.nudged) || !inner.effects.is_empty() {
            return Poll::Ready(());
        }
        match &mut inner.sleeper {
            Some(sleeper) => sleeper.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Keeps room for `effects_max` effects and frees the rest.
    pub(crate) fn shrink_to(&self, effects_max: usize) {
        self.lock().effects.shrink_to(effects_max);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl engine::Outlet for Mailbox {
    fn push(&self, effects: &mut Vec<Released>) {
        let sleeper = {
            let mut inner = self.lock();
            inner.nudged |= effects.is_empty();
            inner.effects.extend(effects.drain(..));
            inner.sleeper.take()
        };
        // Outside the lock, so that the woken task does not run into it.
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use broker::Effect;
    use engine::Outlet;

    use super::*;

    #[derive(Default)]
    struct CountWakes(AtomicUsize);

    impl Wake for CountWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn confirm(up_to: u64) -> Released {
        Released { channel: Some(1), effect: Effect::Confirmed { up_to } }
    }

    #[test]
    fn a_sleeper_is_woken_once_for_many_effects() {
        let mailbox = Mailbox::default();
        let wakes = Arc::new(CountWakes::default());
        let waker = Arc::clone(&wakes).into();
        let mut context = Context::from_waker(&waker);
        assert!(mailbox.poll_news(&mut context).is_pending());
        mailbox.push(&mut vec![confirm(1), confirm(2)]);
        mailbox.push(&mut vec![confirm(3)]);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(mailbox.poll_news(&mut context).is_ready());
        let mut fetched = VecDeque::new();
        mailbox.fetch(&mut fetched);
        let numbers: Vec<u64> = fetched
            .into_iter()
            .map(|released| match released.effect {
                Effect::Confirmed { up_to } => up_to,
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert!(mailbox.poll_news(&mut context).is_pending());
    }

    #[test]
    fn a_nudge_before_the_sleep_is_not_lost() {
        let mailbox = Mailbox::default();
        mailbox.push(&mut Vec::new());
        let mut context = Context::from_waker(Waker::noop());
        assert!(mailbox.poll_news(&mut context).is_ready());
        assert!(mailbox.poll_news(&mut context).is_pending());
    }
}
