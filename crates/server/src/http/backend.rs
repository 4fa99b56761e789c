//! What the HTTP side asks of the server.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use broker::{Command, ConnectionId, Timestamp};
use engine::{Outlet, Pins};
use field_table::ShortString;
use http_api::{Backend, Condition, Host, LoginRefused, Page, Right, Submitted, Target};

use super::{healthz, metrics};
use crate::clock;
use crate::lifecycle::Phase;
use crate::node::Node;
use crate::vhost::VirtualHost;

/// The virtual host of a request that names none, where there are several.
const DEFAULT_VHOST: &[u8] = b"/";

/// A node, as the HTTP side sees it.
pub(super) struct NodeBackend {
    node: Arc<Node>,
}

impl NodeBackend {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl Backend for NodeBackend {
    fn authenticate(&self, user: &str, password: &[u8], peer: SocketAddr) -> Result<(), LoginRefused> {
        self.node.statistics.logins_attempted.add(1);
        self.node.users.authenticate(user, password, peer.ip()).map_err(|refusal| {
            self.node.statistics.logins_refused.add(1);
            tracing::warn!(%peer, user, %refusal, "login over HTTP refused");
            LoginRefused
        })
    }

    /// Every user may do everything in every virtual host; permissions are still to come.
    fn permits(&self, _user: &str, _vhost: &str, _right: Right, _target: Target<'_>) -> bool {
        true
    }

    fn host(&self, name: Option<&[u8]>) -> Option<Arc<dyn Host>> {
        let vhost = match (name, self.node.vhosts.as_slice()) {
            (None, [only]) => Some(only),
            (name, _) => self.node.vhost(name.unwrap_or(DEFAULT_VHOST)),
        };
        vhost.map(|vhost| Arc::clone(vhost) as Arc<dyn Host>)
    }

    fn next_connection(&self) -> ConnectionId {
        self.node.next_connection()
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn condition(&self) -> Condition {
        match self.node.lifecycle.phase() {
            Phase::Serving => Condition::Serving,
            Phase::Stopping => Condition::Stopping,
            Phase::Failed(_) => Condition::Failed,
        }
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.node.lifecycle.ended().await;
        })
    }

    fn health(&self) -> Page {
        healthz::page(&self.node)
    }

    fn metrics(&self) -> Page {
        metrics::page(&self.node)
    }
}

impl Host for VirtualHost {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn connect(&self, connection: ConnectionId, user: ShortString, outlet: Arc<dyn Outlet>) {
        self.with(|engine, now| engine.connect(now, connection, user, outlet));
    }

    fn submit(&self, connection: ConnectionId, commands: &mut Vec<Command>) -> Submitted {
        let submitted = Self::submit(self, connection, commands);
        Submitted { has_credit: submitted.has_credit, held_thread: submitted.held_thread }
    }

    fn has_credit(&self, connection: ConnectionId) -> bool {
        self.with(|engine, _now| engine.publish_credit(connection))
    }

    fn pins(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<Pins, String>> + Send>> {
        Box::pin(Self::find_pins(self))
    }
}
