//! What all connections of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::ConnectionId;

use crate::buffers::BufferPool;
use crate::lifecycle::Lifecycle;
use crate::statistics::Statistics;
use crate::users::Users;
use crate::vhost::VirtualHost;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Node {
    /// The name that clients and dashboards see.
    pub(crate) cluster_name: String,
    /// The rules and limits that connections are told.
    pub(crate) amqp: Arc<amqp::Settings>,
    /// Who may log in.
    pub(crate) users: Users,
    /// The virtual hosts, in the order of the settings.
    pub(crate) vhosts: Vec<Arc<VirtualHost>>,
    /// How many bytes of deliveries the engine sends ahead of what a client has taken.
    pub(crate) delivery_window_bytes: u64,
    /// Large buffers.
    pub(crate) buffers: BufferPool,
    /// What the shell counts.
    pub(crate) statistics: Statistics,
    /// Whether the server serves.
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// The number of the last connection.
    pub(crate) last_connection: AtomicU64,
}

impl Node {
    /// A virtual host by its name.
    #[must_use]
    pub(crate) fn vhost(&self, name: &[u8]) -> Option<&Arc<VirtualHost>> {
        self.vhosts.iter().find(|host| host.name().as_bytes() == name)
    }

    /// A number that no other connection of this process has or had.
    #[must_use]
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.last_connection.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
