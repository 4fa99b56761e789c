//! The HTTP side's shell: sockets for the `http-api` crate, and answers to its questions.

mod backend;
mod healthz;
mod metrics;

use std::sync::Arc;

use http_api::{Limits, Service};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::limits;
use crate::listener::accept;
use crate::node::Node;
use crate::settings::HttpSettings;
use backend::NodeBackend;

/// Descriptors that HTTP connections leave to AMQP clients, files and the process itself.
const DESCRIPTORS_RESERVED: u64 = 256;

/// HTTP connections that are possible even where descriptors are few.
const CONNECTIONS_MIN: u64 = 64;

/// HTTP connections where descriptors are without a limit.
const CONNECTIONS_UNLIMITED: u64 = 1_000_000;

/// The HTTP side of a node, for all its listeners.
#[derive(Clone)]
pub(crate) struct Http {
    node: Arc<Node>,
    service: Arc<Service>,
    places: Arc<Semaphore>,
}

impl Http {
    /// The HTTP side, with what the operator chose.
    pub(crate) fn new(node: &Arc<Node>, settings: &HttpSettings) -> Self {
        let limits = Limits {
            wait_max: settings.wait_max,
            body_bytes_max: settings.body_bytes_max,
            ..Limits::default()
        };
        let service = Service::new(Arc::new(NodeBackend::new(Arc::clone(node))), limits);
        let places = Arc::new(Semaphore::new(connections_max(limits::descriptors_max())));
        Self { node: Arc::clone(node), service, places }
    }

    /// Serves one listener until its task is dropped: while the server stops, too, so that `/healthz` can say so. Who came
    /// before that holds a copy of `alive`; nobody waits for the others.
    pub(crate) async fn serve(self, listener: TcpListener, alive: mpsc::Sender<()>) {
        tokio::select! {
            () = self.serve_clients(&listener, Some(&alive)) => return,
            _ = self.node.lifecycle.ended() => {}
        }
        drop(alive);
        self.serve_clients(&listener, None).await;
    }

    async fn serve_clients(&self, listener: &TcpListener, alive: Option<&mpsc::Sender<()>>) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let (stream, peer) = accept(listener).await;
            // Answers are written whole; waiting for more to put into a packet would only delay them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "HTTP client left at once");
                continue;
            }
            let service = Arc::clone(&self.service);
            let alive = alive.cloned();
            tokio::spawn(async move {
                http_api::serve(service, stream, peer).await;
                drop((place, alive));
            });
        }
    }
}

/// How many HTTP connections there may be at once. Others wait in the listener's queue.
fn connections_max(descriptors_max: Option<u64>) -> usize {
    let connections = descriptors_max.map_or(CONNECTIONS_UNLIMITED, |descriptors| {
        descriptors.saturating_sub(DESCRIPTORS_RESERVED).clamp(CONNECTIONS_MIN, CONNECTIONS_UNLIMITED)
    });
    connections as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_the_descriptors() {
        assert_eq!(connections_max(Some(100)), 64);
        assert_eq!(connections_max(Some(20_000)), 19_744);
        assert_eq!(connections_max(None), 1_000_000);
    }
}
