//! A request under way on HTTP/1.1, whose answer can be waited for without the machinery that received it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::Response;

use crate::activity::Activity;
use crate::body::Body;

/// Makes an answer.
pub(crate) type Responding = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// The place of the one request that a connection of HTTP/1.1 has under way.
///
/// Hyper holds 16 KB of buffers for each connection, and a call may wait for a minute. So hyper gets a handle to the
/// future, and the connection takes the future out and lets hyper go when a call waits for long.
#[derive(Default)]
pub(crate) struct Slot {
    held: Mutex<Option<Responding>>,
}

/// What hyper gets for a request. Dropped, it drops the request, unless that was taken out before.
pub(crate) struct Handle {
    slot: Arc<Slot>,
    activity: Arc<Activity>,
}

impl Slot {
    /// Puts a request in and returns what polls it.
    pub(crate) fn hold(self: &Arc<Self>, responding: Responding, activity: &Arc<Activity>) -> Handle {
        self.put(Some(responding));
        Handle { slot: Arc::clone(self), activity: Arc::clone(activity) }
    }

    /// Takes the request out.
    pub(crate) fn take(&self) -> Option<Responding> {
        self.put(None)
    }

    fn put(&self, responding: Option<Responding>) -> Option<Responding> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, responding)
    }
}

impl Future for Handle {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Out of its place while it is polled: a request does what it likes, and no lock is held meanwhile.
        let Some(mut responding) = self.slot.take() else { return Poll::Pending };
        match responding.as_mut().poll(context) {
            Poll::Ready(response) => {
                self.activity.answered();
                Poll::Ready(Ok(response))
            }
            Poll::Pending => {
                self.slot.put(Some(responding));
                Poll::Pending
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.slot.take();
    }
}
