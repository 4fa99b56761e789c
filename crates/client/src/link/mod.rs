//! One connection to the broker that comes back when it breaks, and the thread that serves it.
//!
//! Shared by the client and the worker; not meant for anybody else, and free to change.
//!
//! What a connection is used for is a state machine, an [`Endpoint`]: it is told when a connection is up, what the
//! broker says, and what the program wants, and it writes to an [`Output`]. It never waits and touches no socket. The
//! socket, the heartbeats and the waiting between attempts belong to the [`Link`]. All of it runs on an operating
//! system thread of its own, so that a program whose own runtime is busy still answers heartbeats and keeps what it
//! holds.

mod backoff;
mod confirm_channel;
mod error;
mod handshake;
mod heartbeat;
mod incoming;
mod output;
mod publication;
mod run;
mod url;

use std::fmt;
use std::thread;
use std::time::Duration;

use amqp_wire::connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use backoff::Backoff;
pub use confirm_channel::{ConfirmChannel, Refused, Verdict};
pub use error::{ConnectError, LinkError, Violation};
pub use incoming::{Content, Incoming};
pub use output::Output;
pub use publication::Publication;
pub use url::{Url, UrlError};

/// What a connection is used for. Lives as long as its [`Link`], over all its connections.
pub trait Endpoint: Send + 'static {
    /// What the program asks for.
    type Command: Send + 'static;

    /// A connection is up and has no channels. What is written now goes out first.
    fn connected(&mut self, output: &mut Output);

    /// The program wants something; also while there is no connection, when `output` drops what is written.
    fn command(&mut self, command: Self::Command, output: &mut Output);

    /// The broker says something, on another channel than 0.
    ///
    /// # Errors
    /// When it does not belong there; the connection is then given up and made anew.
    fn incoming(&mut self, incoming: Incoming, output: &mut Output) -> Result<(), Violation>;

    /// The connection is gone. `connected` follows when there is another.
    fn lost(&mut self);

    /// Whether nothing is under way: what a link that is to end waits for.
    fn is_idle(&self) -> bool;

    /// When [`Endpoint::tick`] wants to be called.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Time has passed; only called while there is a connection.
    fn tick(&mut self, _now: Instant, _output: &mut Output) {}
}

/// How a link behaves.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// Where to.
    pub url: Url,
    /// What the broker shows as the kind of client.
    pub product: &'static str,
    /// What the broker shows as the name of the connection.
    pub connection_name: Option<String>,
    /// The longest heartbeat interval, in seconds; 0 asks for none. Default 20.
    pub heartbeat_s: u16,
    /// How long dialling may take, and then logging in. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a link that is to end waits for what is under way. Default 10 s.
    pub close_timeout: Duration,
    /// Bound of the first wait between attempts. Default 100 ms.
    pub retry_first: Duration,
    /// Bound of all waits between attempts. Default 15 s.
    pub retry_max: Duration,
    /// Whether the first connection, too, is tried again when the broker is not there. Default false.
    pub retries_first_connection: bool,
}

impl LinkSettings {
    /// The defaults.
    pub fn new(url: Url, product: &'static str) -> Self {
        Self {
            url,
            product,
            connection_name: None,
            heartbeat_s: 20,
            connect_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            retry_first: Duration::from_millis(100),
            retry_max: Duration::from_secs(15),
            retries_first_connection: false,
        }
    }
}

/// A handle on the thread of a connection. Clones share it; when the last is dropped, the link ends as after
/// [`Link::close`].
pub struct Link<C> {
    commands: mpsc::Sender<C>,
    /// Cancelled by whoever wants the link to end.
    closing: CancellationToken,
    /// Cancelled when the thread has ended.
    ended: CancellationToken,
}

/// The link has ended, and takes no more commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// How many commands wait for the thread at most; who comes later waits for a place.
const COMMANDS_MAX: usize = 256;

impl<C: Send + 'static> Link<C> {
    /// Starts the thread. The receiver tells how the first connection went; a link whose first connection failed has
    /// ended.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start<E: Endpoint<Command = C>>(
        settings: LinkSettings,
        endpoint: E,
    ) -> Result<(Self, oneshot::Receiver<Result<(), ConnectError>>), ConnectError> {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (first, outcome) = oneshot::channel();
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(ConnectError::Thread)?;
        let run = run::Run::new(settings, endpoint, receiver, closing.clone(), first);
        // Dropped at the end of the thread, whatever ends it.
        let guard = ended.clone().drop_guard();
        thread::Builder::new()
            .name("forebay-link".to_owned())
            .spawn(move || {
                let _guard = guard;
                runtime.block_on(run.run());
            })
            .map_err(ConnectError::Thread)?;
        Ok((Self { commands, closing, ended }, outcome))
    }

    /// Hands over a command; waits while too many wait.
    ///
    /// # Errors
    /// When the link has ended or is about to.
    pub async fn send(&self, command: C) -> Result<(), Ended> {
        if self.closing.is_cancelled() {
            return Err(Ended);
        }
        self.commands.send(command).await.map_err(|_| Ended)
    }

    /// Ends the link: waits until nothing is under way (at most `close_timeout`), says goodbye to the broker and
    /// waits for its answer.
    pub async fn close(&self) {
        self.closing.cancel();
        self.ended.cancelled().await;
    }
}

impl<C> Clone for Link<C> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone(), closing: self.closing.clone(), ended: self.ended.clone() }
    }
}

impl<C> fmt::Debug for Link<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Link")
            .field("closing", &self.closing.is_cancelled())
            .field("ended", &self.ended.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// `connection.close` as a client says it.
fn goodbye() -> connection::Close {
    connection::Close {
        reply_code: 200,
        reply_text: amqp_wire::ShortString::from_static("goodbye"),
        ..Default::default()
    }
}
