//! Who waits for which answer of the core.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use broker::{Answer, Effect, Envelope, LeaseId, NumberMap, RequestTag};
use engine::{Outlet, Released};

/// The waiting requests of one line, by their tags. A request that waits costs an entry here and nothing else.
///
/// The engine calls [`Outlet::push`] with its lock held: it only stores and wakes. What comes for a request that nobody
/// waits for any more is dropped, but for leases: those are kept to be given back.
#[derive(Debug, Default)]
pub(crate) struct Switchboard {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_tag: u64,
    waiting: NumberMap<u64, Waiting>,
    /// Requests that wait until they may publish.
    wait_for_credit: Vec<Waker>,
    /// Leases that were granted to somebody who is gone.
    orphans: Vec<LeaseId>,
    /// Requests for leases whose asker is gone and that are not answered yet.
    abandoned: usize,
    /// The tasks that give orphans back.
    keepers: Vec<Waker>,
    /// Nobody is answered any more.
    is_closed: bool,
}

/// One waiting request.
#[derive(Debug)]
enum Waiting {
    /// Somebody waits.
    Someone { effects: Vec<Effect<Envelope>>, waker: Option<Waker> },
    /// The asker of leases is gone.
    Abandoned,
}

/// Nobody is answered any more: the server stops, or has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Switchboard {
    /// A place for a new request; its tag was never used on this board.
    pub(crate) fn open(&self) -> Result<RequestTag, Closed> {
        let mut inner = self.lock();
        if inner.is_closed {
            return Err(Closed);
        }
        inner.last_tag += 1;
        let tag = inner.last_tag;
        inner.waiting.insert(tag, Waiting::Someone { effects: Vec::new(), waker: None });
        Ok(RequestTag(tag))
    }

    /// The next effect of a request.
    pub(crate) fn poll_next(
        &self,
        tag: RequestTag,
        context: &mut Context<'_>,
    ) -> Poll<Result<Effect<Envelope>, Closed>> {
        let mut inner = self.lock();
        let is_closed = inner.is_closed;
        let Some(Waiting::Someone { effects, waker }) = inner.waiting.get_mut(&tag.0) else {
            return Poll::Ready(Err(Closed));
        };
        if !effects.is_empty() {
            return Poll::Ready(Ok(effects.remove(0)));
        }
        if is_closed {
            return Poll::Ready(Err(Closed));
        }
        match waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes a request off the board. Returns the leases that came and nobody has seen.
    ///
    /// With `keeps_leases` the place stays until the request is answered: what is still granted is kept as an orphan.
    pub(crate) fn forget(&self, tag: RequestTag, keeps_leases: bool) -> Vec<LeaseId> {
        let mut inner = self.lock();
        let before = if keeps_leases {
            inner.abandoned += 1;
            inner.waiting.insert(tag.0, Waiting::Abandoned)
        } else {
            inner.waiting.swap_remove(&tag.0)
        };
        let Some(Waiting::Someone { effects, .. }) = before else { return Vec::new() };
        effects.iter().filter_map(lease_of).collect()
    }

    /// Whether nobody is answered any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Wakes the caller at the next sign that there may be credit to publish.
    pub(crate) fn wait_for_credit(&self, context: &mut Context<'_>) {
        self.lock().wait_for_credit.push(context.waker().clone());
    }

    /// Leases to be given back; wakes the caller when there are some.
    pub(crate) fn poll_orphans(&self, context: &mut Context<'_>) -> Poll<Vec<LeaseId>> {
        let mut inner = self.lock();
        if inner.orphans.is_empty() {
            inner.keepers.push(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut inner.orphans))
    }

    /// Whether leases may still be granted to askers who are gone.
    pub(crate) fn has_abandoned(&self) -> bool {
        let inner = self.lock();
        inner.abandoned > 0 || !inner.orphans.is_empty()
    }

    /// From now on nobody is answered; those who wait are told.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        let mut woken = std::mem::take(&mut inner.wait_for_credit);
        for waiting in inner.waiting.values_mut() {
            if let Waiting::Someone { waker, .. } = waiting {
                woken.extend(waker.take());
            }
        }
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, effect: Effect<Envelope>, woken: &mut Vec<Waker>) {
        let Some(tag) = tag_of(&effect) else { return };
        match self.waiting.get_mut(&tag.0) {
            Some(Waiting::Someone { effects, waker }) => {
                effects.push(effect);
                woken.extend(waker.take());
            }
            Some(Waiting::Abandoned) => match lease_of(&effect) {
                Some(lease) => {
                    self.orphans.push(lease);
                    woken.append(&mut self.keepers);
                }
                None => {
                    self.abandoned -= 1;
                    self.waiting.swap_remove(&tag.0);
                    woken.append(&mut self.keepers);
                }
            },
            None => {}
        }
    }
}

impl Outlet for Switchboard {
    fn push(&self, effects: &mut Vec<Released>) {
        let mut inner = self.lock();
        let mut woken = std::mem::take(&mut inner.wait_for_credit);
        for released in effects.drain(..) {
            inner.take(released.effect, &mut woken);
        }
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Whose effect it is. The others belong to sessions, of which a line has none.
fn tag_of(effect: &Effect<Envelope>) -> Option<RequestTag> {
    match effect {
        Effect::Answered { request, .. }
        | Effect::Refused { request, .. }
        | Effect::Task { request, .. }
        | Effect::Leased { request, .. } => Some(*request),
        _ => None,
    }
}

fn lease_of(effect: &Effect<Envelope>) -> Option<LeaseId> {
    match effect {
        Effect::Leased { grant, .. } => Some(grant.lease),
        _ => None,
    }
}

/// Whether nothing follows this effect for its request, which asked for leases.
pub(crate) fn ends_leasing(effect: &Effect<Envelope>) -> bool {
    matches!(effect, Effect::Refused { .. } | Effect::Answered { answer: Answer::LeasesGranted { .. }, .. })
}

#[cfg(test)]
mod tests {
    use broker::{Grant, TaskId, TaskState, TaskView, Timestamp};
    use field_table::ShortString;

    use super::*;

    fn push(board: &Switchboard, effect: Effect<Envelope>) {
        board.push(&mut vec![Released { channel: Some(1), effect }]);
    }

    fn answered(request: RequestTag, answer: Answer) -> Effect<Envelope> {
        Effect::Answered { request, answer }
    }

    fn leased(request: RequestTag, lease: u128) -> Effect<Envelope> {
        let task = TaskView {
            id: TaskId::from_bytes([1; 16]),
            queue: ShortString::default(),
            name: ShortString::default(),
            state: TaskState::Running,
            attempts: 0,
            crashes: 0,
            releases: 0,
            max_attempts: 10,
            epoch: 1,
            version: 1,
            created_at: Timestamp(0),
            due_at: None,
            deadline: None,
            ended_at: None,
            kept_until: None,
            status: None,
            worker: None,
            progress: None,
        };
        let grant = Box::new(Grant {
            lease: LeaseId::from_bytes(u128::to_be_bytes(lease)),
            expires_at: Timestamp(1),
            task,
        });
        Effect::Leased { request, grant, message: Envelope::new(b"", b"q", b"\0\0", b"") }
    }

    fn poll(board: &Switchboard, tag: RequestTag) -> Poll<Result<Effect<Envelope>, Closed>> {
        board.poll_next(tag, &mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn answers_find_their_requests() {
        let board = Switchboard::default();
        let (one, two) = (board.open().unwrap(), board.open().unwrap());
        assert!(poll(&board, one).is_pending());
        push(&board, answered(two, Answer::Published { queues: 2 }));
        push(&board, answered(one, Answer::Published { queues: 1 }));
        assert_eq!(poll(&board, one), Poll::Ready(Ok(answered(one, Answer::Published { queues: 1 }))));
        assert_eq!(poll(&board, two), Poll::Ready(Ok(answered(two, Answer::Published { queues: 2 }))));
        // What comes for somebody who is gone is dropped.
        assert!(board.forget(one, false).is_empty());
        push(&board, answered(one, Answer::Echoed));
        assert_eq!(poll(&board, one), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn leases_of_an_asker_who_is_gone_are_kept_to_be_given_back() {
        let board = Switchboard::default();
        let tag = board.open().unwrap();
        push(&board, leased(tag, 1));
        assert_eq!(board.forget(tag, true), [LeaseId::from_bytes(u128::to_be_bytes(1))]);
        assert!(board.has_abandoned());
        push(&board, leased(tag, 2));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(
            board.poll_orphans(&mut context),
            Poll::Ready(vec![LeaseId::from_bytes(u128::to_be_bytes(2))])
        );
        assert!(board.has_abandoned());
        push(&board, answered(tag, Answer::LeasesGranted { count: 2 }));
        assert!(!board.has_abandoned());
        assert!(board.poll_orphans(&mut context).is_pending());
    }

    #[test]
    fn those_who_wait_hear_of_the_end() {
        let board = Switchboard::default();
        let (one, two) = (board.open().unwrap(), board.open().unwrap());
        push(&board, answered(two, Answer::Echoed));
        board.close();
        assert_eq!(poll(&board, one), Poll::Ready(Err(Closed)));
        // What was there before is still handed out.
        assert_eq!(poll(&board, two), Poll::Ready(Ok(answered(two, Answer::Echoed))));
        assert_eq!(board.open(), Err(Closed));
    }
}
