//! A connection of the core, on which one user of one HTTP connection asks one virtual host.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use broker::{
    Answer, Command, ConnectionId, Effect, Envelope, RequestTag, SessionId, Standalone, TaskId, TaskView,
    Until,
};
use engine::Pins;
use field_table::ShortString;
use hyper::StatusCode;

use crate::backend::{Backend, Condition, Host, Right, Target};
use crate::problem::Problem;
use crate::switchboard::{Cut, Switchboard};
use crate::ticket::{Interest, Ticket};

/// A connection of the core. Connected when it is made; [`Line::leave`] ends it.
pub(crate) struct Line {
    backend: Arc<dyn Backend>,
    host: Arc<dyn Host>,
    user: ShortString,
    id: ConnectionId,
    board: Arc<Switchboard>,
}

/// A task as it was seen, with its result if it was asked for and there is one.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The task.
    pub(crate) view: Box<TaskView>,
    /// Its result.
    pub(crate) result: Option<Envelope>,
}

impl Line {
    /// A new line.
    pub(crate) fn connect(backend: Arc<dyn Backend>, host: Arc<dyn Host>, user: ShortString) -> Arc<Self> {
        let (id, board) = (backend.next_connection(), Arc::new(Switchboard::default()));
        host.connect(id, user.clone(), Arc::clone(&board) as Arc<dyn engine::Outlet>);
        Arc::new(Self { backend, host, user, id, board })
    }

    /// Whether it is this user's, on this virtual host.
    pub(crate) fn is_of(&self, user: &ShortString, vhost: &str) -> bool {
        self.user == *user && self.host.name() == vhost
    }

    /// The user.
    pub(crate) fn user(&self) -> &ShortString {
        &self.user
    }

    /// The time.
    pub(crate) fn now(&self) -> broker::Timestamp {
        self.backend.now()
    }

    /// Who waits on it.
    pub(crate) fn board(&self) -> &Switchboard {
        &self.board
    }

    /// Checks the user's rights.
    ///
    /// # Errors
    /// 403 `forbidden`.
    pub(crate) fn authorise(&self, right: Right, target: Target<'_>) -> Result<(), Problem> {
        let user = self.user.to_string();
        if self.backend.permits(&user, self.host.name(), right, target) {
            return Ok(());
        }
        let (kind, name) = match target {
            Target::Queue(name) => ("queue", name),
            Target::Exchange(name) => ("exchange", name),
            Target::VirtualHost => ("virtual host", self.host.name().as_bytes()),
        };
        let (right, name) = (format!("{right:?}").to_lowercase(), String::from_utf8_lossy(name));
        let detail =
            format!("user '{user}' has no {right} right on {kind} '{name}'; an administrator can grant it");
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail))
    }

    /// Sends a request. What comes of it is the ticket's.
    ///
    /// # Errors
    /// 503 when the server stops or has failed.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        operation: Standalone,
        interest: Interest,
    ) -> Result<Ticket, Problem> {
        if adds_messages(&operation) {
            self.credit().await;
        }
        let tag = self.board.open().map_err(|_closed| self.unavailable())?;
        let ticket = Ticket::new(Arc::clone(self), tag, interest);
        if self.submit(tag, operation) {
            // What this request's sync released for others is on this thread's list.
            tokio::task::yield_now().await;
        }
        Ok(ticket)
    }

    /// Sends a request that has one answer, and waits for it.
    ///
    /// # Errors
    /// The core's refusal; 503 when the server stops or has failed.
    pub(crate) async fn answer(self: &Arc<Self>, operation: Standalone) -> Result<Answer, Problem> {
        match self.ask(operation, Interest::Answer).await?.soon().await? {
            Effect::Answered { answer, .. } => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// Watches a task.
    ///
    /// # Errors
    /// As [`Line::ask`].
    pub(crate) async fn watch(self: &Arc<Self>, task: TaskId, until: Until) -> Result<Ticket, Problem> {
        self.ask(Standalone::Watch { task, until, with_result: true }, Interest::Watch).await
    }

    /// Looks at a task, and whether the user may do this with its queue.
    ///
    /// # Errors
    /// 404 when there is none, 403 when the user may not; 503 when the server stops or has failed.
    pub(crate) async fn look_at(self: &Arc<Self>, task: TaskId, right: Right) -> Result<Seen, Problem> {
        let seen = seen(self.watch(task, Until::Now).await?.soon().await?)?;
        self.authorise(right, Target::Queue(&seen.view.queue))?;
        Ok(seen)
    }

    /// What holds the journal's old files.
    ///
    /// # Errors
    /// 503 when the server stops, has failed, or cannot tell.
    pub(crate) async fn pins(&self) -> Result<Pins, Problem> {
        let pins = Arc::clone(&self.host).pins().await;
        pins.map_err(|why| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "pins-unknown", "Not known", why).retry_after(5)
        })
    }

    /// Sends a request whose answer nobody waits for.
    pub(crate) fn tell(&self, operation: Standalone) {
        self.submit(RequestTag(0), operation);
    }

    /// Ends the line: waits for a moment until what was granted to nobody is given back, then disconnects.
    pub(crate) async fn leave(&self) {
        let patience = std::time::Duration::from_secs(5);
        let _ = tokio::time::timeout(patience, self.give_back()).await;
        self.disconnect();
    }

    /// Ends the line at once.
    pub(crate) fn disconnect(&self) {
        self.board.close(Cut::All);
        self.host.submit(self.id, &mut vec![Command::Disconnect { connection: self.id, lost: false }]);
    }

    /// Gives leases back that were granted to those who are gone; ends when there can be no more.
    pub(crate) async fn give_back(&self) {
        while self.board.has_abandoned() {
            let orphans = poll_fn(|context| match self.board.poll_orphans(context) {
                Poll::Pending if !self.board.has_abandoned() => Poll::Ready(Vec::new()),
                orphans => orphans,
            });
            crate::ticket::release(self, orphans.await);
        }
    }

    /// Why nobody is answered any more.
    pub(crate) fn unavailable(&self) -> Problem {
        unavailable(&self.backend.condition())
    }

    /// Waits until the connection may publish.
    async fn credit(&self) {
        poll_fn(|context| {
            // Registered before the question, so that no sign is missed.
            self.board.wait_for_credit(context);
            if self.board.is_closed() || self.host.has_credit(self.id) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// True when the thread was held up.
    fn submit(&self, tag: RequestTag, operation: Standalone) -> bool {
        // Each request has a lane of its own, as far as there are numbers: none waits for another's answer.
        let lane = SessionId { connection: self.id, channel: tag.0 as u16 };
        let command = Command::Standalone { lane, request: tag, operation: Box::new(operation) };
        self.host.submit(self.id, &mut vec![command]).held_thread
    }
}

/// The task of an effect that a watch asked for.
///
/// # Errors
/// 500 for any other effect.
pub(crate) fn seen(effect: Effect<Envelope>) -> Result<Seen, Problem> {
    match effect {
        Effect::Task { view, result, .. } => Ok(Seen { view, result }),
        other => Err(unexpected(&other)),
    }
}

/// 500: the core gave an answer to another question. Says which without showing what is in it.
pub(crate) fn unexpected(effect: &Effect<Envelope>) -> Problem {
    let what = match effect {
        Effect::Answered { .. } => "another answer",
        Effect::Task { .. } => "a task",
        Effect::Leased { .. } => "a lease",
        _ => "an effect of sessions",
    };
    Problem::internal(what)
}

/// 503, while the server stops or when it has failed.
pub(crate) fn unavailable(condition: &Condition) -> Problem {
    let (code, detail) = match condition {
        Condition::Failed => (
            "server-failed",
            "the server can no longer store anything; its log says why. What was confirmed is safe",
        ),
        Condition::Serving | Condition::Stopping => (
            "server-stopping",
            "the server is stopping; what was accepted is kept, ask again when it is back",
        ),
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, "Not available", detail).retry_after(5)
}

/// Whether an operation brings messages, which have to wait for credit.
fn adds_messages(operation: &Standalone) -> bool {
    matches!(
        operation,
        Standalone::Publish(_) | Standalone::Enqueue(_) | Standalone::Complete(_) | Standalone::Fail(_)
    )
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}
