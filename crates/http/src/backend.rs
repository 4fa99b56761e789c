//! What the owner of this crate does for it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use broker::{Command, ConnectionId, Timestamp};
use bytes::Bytes;
use engine::{Outlet, Pins};
use field_table::ShortString;

/// The world behind the HTTP side: users, virtual hosts and the clock. None of its methods waits, but for one.
pub trait Backend: Send + Sync {
    /// Lets a user in, or not. Called for every request; has to cost little.
    ///
    /// # Errors
    /// When the user is unknown, the password wrong, or the place not allowed: clients are not told which.
    fn authenticate(&self, user: &str, password: &[u8], peer: SocketAddr) -> Result<(), LoginRefused>;

    /// Whether the user may do this.
    fn permits(&self, user: &str, vhost: &str, right: Right, target: Target<'_>) -> bool;

    /// The virtual host of this name; without a name, the only one there is, or `/`.
    fn host(&self, name: Option<&[u8]>) -> Option<Arc<dyn Host>>;

    /// A number that no other connection has or had.
    fn next_connection(&self) -> ConnectionId;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Whether requests are served.
    fn condition(&self) -> Condition;

    /// Waits until they no longer are.
    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// What `/healthz` shows, to everyone.
    fn health(&self) -> Page;

    /// What `/metrics` shows, to everyone.
    fn metrics(&self) -> Page;
}

/// A virtual host.
pub trait Host: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Takes a connection in, as [`engine::Engine::connect`].
    fn connect(&self, connection: ConnectionId, user: ShortString, outlet: Arc<dyn Outlet>);

    /// Submits commands of one connection, as [`engine::Engine::submit`].
    fn submit(&self, connection: ConnectionId, commands: &mut Vec<Command>) -> Submitted;

    /// Whether the connection may publish on, as [`engine::Engine::publish_credit`].
    fn has_credit(&self, connection: ConnectionId) -> bool;

    /// What holds the journal's old files; the error says why nobody can tell. Looks at all that lives, which may take seconds.
    fn pins(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<Pins, String>> + Send>>;
}

/// What became of submitted commands.
#[derive(Clone, Copy, Debug)]
pub struct Submitted {
    /// The connection may publish on.
    pub has_credit: bool,
    /// The thread was held up: others on it come first now.
    pub held_thread: bool,
}

/// The login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRefused;

/// What somebody wants to do with a queue or an exchange. Each endpoint needs one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Declare or delete it.
    Configure,
    /// Put something in, or take it back.
    Write,
    /// Take something out, or look at it.
    Read,
}

/// With what somebody wants to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A queue.
    Queue(&'a [u8]),
    /// An exchange; the default one is empty.
    Exchange(&'a [u8]),
    /// All of the virtual host.
    VirtualHost,
}

/// Whether requests are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// They are.
    Serving,
    /// The server was asked to stop.
    Stopping,
    /// The server can keep no promise any more.
    Failed,
}

/// An answer that the backend makes itself.
#[derive(Clone, Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// MIME type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}
