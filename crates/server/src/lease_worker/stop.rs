//! How a worker is told to stop.

use tokio::sync::watch;

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Working,
    Draining,
    Now,
}

/// Tells a worker to stop. When it is dropped, the worker stops at once.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<Phase>);

/// What a worker looks at.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    own: watch::Receiver<Phase>,
    /// Of whoever wraps the worker.
    outer: Option<watch::Receiver<Phase>>,
}

impl Stopper {
    /// Both ends.
    pub(crate) fn new() -> (Self, Stop) {
        let (sender, own) = watch::channel(Phase::Working);
        (Self(sender), Stop { own, outer: None })
    }

    /// Take no more tasks; finish what is under way.
    pub(crate) fn drain(&self) {
        self.raise(Phase::Draining);
    }

    /// Give back what is under way.
    pub(crate) fn now(&self) {
        self.raise(Phase::Now);
    }

    fn raise(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let is_more = *current < phase;
            *current = (*current).max(phase);
            is_more
        });
    }
}

impl Stop {
    /// A second way to be told, beside this one.
    pub(super) fn or(self) -> (Stopper, Self) {
        let (stopper, stop) = Stopper::new();
        debug_assert!(self.outer.is_none(), "there are two ways to be told, not three");
        (stopper, Self { outer: Some(self.own), ..stop })
    }

    /// Whether no more tasks shall be taken.
    pub(super) fn is_draining(&self) -> bool {
        let says_so = |receiver: &watch::Receiver<Phase>| {
            *receiver.borrow() >= Phase::Draining || receiver.has_changed().is_err()
        };
        says_so(&self.own) || self.outer.as_ref().is_some_and(says_so)
    }

    /// Waits until no more tasks shall be taken.
    pub(crate) async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Waits until what is under way shall be given back.
    pub(crate) async fn now(&self) {
        self.reached(Phase::Now).await;
    }

    async fn reached(&self, phase: Phase) {
        let mut own = self.own.clone();
        match self.outer.clone() {
            Some(mut outer) => tokio::select! {
                () = wait(&mut own, phase) => {}
                () = wait(&mut outer, phase) => {}
            },
            None => wait(&mut own, phase).await,
        }
    }
}

/// A sender that is gone has the last word: nobody is left who could be served.
async fn wait(receiver: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = receiver.wait_for(|current| *current >= phase).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Both ways to ask have to agree.
    async fn is_draining(stop: &Stop) -> bool {
        let has_come = has_come(stop.draining()).await;
        assert_eq!(stop.is_draining(), has_come);
        has_come
    }

    async fn has_come(waiting: impl Future<Output = ()>) -> bool {
        timeout(Duration::from_millis(10), waiting).await.is_ok()
    }

    #[tokio::test]
    async fn draining_comes_before_now_and_is_part_of_it() {
        let (stopper, stop) = Stopper::new();
        assert!(!is_draining(&stop).await);
        stopper.drain();
        assert!(is_draining(&stop).await && !has_come(stop.now()).await);
        stopper.now();
        stopper.drain();
        assert!(is_draining(&stop).await && has_come(stop.now()).await);
    }

    #[tokio::test]
    async fn either_of_two_can_tell() {
        let (outer, stop) = Stopper::new();
        let (inner, stop) = stop.or();
        inner.drain();
        assert!(is_draining(&stop).await && !has_come(stop.now()).await);
        drop(outer);
        assert!(has_come(stop.now()).await);
    }
}
