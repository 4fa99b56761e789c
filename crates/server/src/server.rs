//! A whole broker, from start to end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use engine::Engine;
use journal::LogName;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::buffers::BufferPool;
use crate::clock;
use crate::data_directory::DataDirectoryError;
use crate::http::Http;
use crate::in_parallel::in_parallel;
use crate::lifecycle::{Lifecycle, Phase};
use crate::limits;
use crate::listener::{ListenError, listen_on, serve_amqp};
use crate::node::Node;
use crate::randomness::random_seed;
use crate::settings::{AmqpSettings, Settings};
use crate::statistics::Statistics;
use crate::storage::{Logs, Storage};
use crate::vhost::VirtualHost;

/// A running broker.
///
/// ```text
///   start ──> serves ──> stop ──> finish: goodbye to clients, last checkpoint ──> Stopped
///                └────> (journal lost) ──> finish: goodbye to clients ──────────> Failed
/// ```
///
/// Dropping it stops it as well, and waits for nothing: what was confirmed is safe, as after a crash.
#[derive(Debug)]
pub struct Server {
    node: Arc<Node>,
    amqp_addresses: Vec<SocketAddr>,
    http_addresses: Vec<SocketAddr>,
    shutdown_timeout: Duration,
    /// Ends when the last client is gone: each of them holds a sender.
    clients: mpsc::Receiver<()>,
    /// Listeners and timers. Aborted when dropped.
    tasks: JoinSet<()>,
    /// Let go last of all, so that the next server finds everything in place.
    storage: Storage,
}

/// How a server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it was asked to, with everything in order.
    Stopped,
    /// It could keep no promise any more; what was confirmed is safe. The text says why and what to do.
    Failed(String),
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory can't be used.
    #[error(transparent)]
    DataDirectory(#[from] DataDirectoryError),
    /// An address can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A virtual host's log can't be opened.
    #[error("cannot open virtual host '{vhost}': {problem}")]
    VirtualHost {
        /// Its name.
        vhost: String,
        /// Why not.
        problem: String,
    },
    /// The operating system refuses something else.
    #[error("cannot start: {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Server {
    /// Starts a broker; when this returns it serves. Has to be called inside a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        limits::raise_descriptor_limit();
        let storage = Storage::directory(&settings.data)?;
        Self::start_on(storage, settings).await
    }

    /// Starts a broker that keeps its data here, whatever `settings.data` says.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub(crate) async fn start_on(storage: Storage, settings: Settings) -> Result<Self, StartError> {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data = %storage,
            descriptors_max = limits::descriptors_max(),
            "Forebay is starting"
        );
        let lifecycle = Arc::new(Lifecycle::new());
        let logs = storage.logs(settings.storage.reserve_bytes_of_each(settings.vhosts.len()))?;
        let vhosts = open_vhosts(&settings, &storage, logs, &lifecycle).await?;
        // Only now: whoever can connect finds everything there.
        let amqp = listen_on("amqp.listen", &settings.amqp.listen).await?;
        let http = listen_on("http.listen", &settings.http.listen).await?;
        let (amqp_addresses, http_addresses) = (addresses(&amqp)?, addresses(&http)?);

        let node = Arc::new(Node {
            cluster_name: settings.cluster_name.clone(),
            amqp: Arc::new(connection_settings(&settings.amqp, &settings.cluster_name)),
            users: settings.users,
            vhosts,
            delivery_window_bytes: engine::Settings::default().delivery_window_bytes,
            buffers: BufferPool::default(),
            statistics: Statistics::default(),
            lifecycle,
            last_connection: AtomicU64::new(0),
        });
        let (alive, clients) = mpsc::channel(1);
        let http_side = Http::new(&node, &settings.http);
        let tasks = spawn_tasks(&node, &http_side, amqp, http, alive);
        tracing::info!(amqp = ?amqp_addresses, http = ?http_addresses, "Server startup complete");
        Ok(Self {
            node,
            amqp_addresses,
            http_addresses,
            shutdown_timeout: settings.shutdown_timeout,
            clients,
            tasks,
            storage,
        })
    }

    /// Where it listens for AMQP.
    #[must_use]
    pub fn amqp_addresses(&self) -> &[SocketAddr] {
        &self.amqp_addresses
    }

    /// Where it listens for HTTP.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http_addresses
    }

    /// Asks it to stop: no new clients, and a goodbye to those that are there. [`Server::finish`] waits for
    /// the rest.
    pub fn stop(&self) {
        self.node.lifecycle.stop();
    }

    /// Waits until it was asked to stop or has failed.
    pub async fn ended(&self) {
        self.node.lifecycle.ended().await;
    }

    /// Waits for the end, then for the clients' goodbyes (for a bounded time), and closes the logs.
    pub async fn finish(mut self) -> Ending {
        let phase = self.node.lifecycle.ended().await;
        if let Phase::Failed(reason) = &phase {
            tracing::error!(%reason, "the broker cannot go on and closes its connections");
        }
        if tokio::time::timeout(self.shutdown_timeout, self.clients.recv()).await.is_err() {
            tracing::warn!(
                waited_ms = self.shutdown_timeout.as_millis() as u64,
                "some clients did not answer the goodbye; going without"
            );
        }
        let ending = match phase {
            Phase::Serving | Phase::Stopping => self.close_vhosts().await,
            Phase::Failed(reason) => Ending::Failed(reason.to_string()),
        };
        self.tasks.shutdown().await;
        if ending == Ending::Stopped {
            tracing::info!(data = %self.storage, "Server stopped");
        }
        ending
    }

    async fn close_vhosts(&self) -> Ending {
        let vhosts = self.node.vhosts.clone();
        let closing = tokio::task::spawn_blocking(move || {
            in_parallel(&vhosts, |vhost| {
                vhost.close().map_err(|reason| format!("virtual host '{}': {reason}", vhost.name()))
            })
        });
        match closing.await {
            Ok(Ok(_)) => Ending::Stopped,
            Ok(Err(reason)) => Ending::Failed(reason),
            Err(panic) => Ending::Failed(format!("closing the logs failed: {panic}; please report it")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `finish` this changes nothing; else clients would be served by a broker that nobody holds.
        self.stop();
    }
}

/// A virtual host rests when it was not used for this long, or up to twice as long.
const REST_EVERY: Duration = Duration::from_secs(5);

fn spawn_tasks(
    node: &Arc<Node>,
    http_side: &Http,
    amqp: Vec<TcpListener>,
    http: Vec<TcpListener>,
    alive: mpsc::Sender<()>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for vhost in &node.vhosts {
        let vhost = Arc::clone(vhost);
        tasks.spawn(Arc::clone(&vhost).keep_checkpoints());
        tasks.spawn(Arc::clone(&vhost).keep_loads());
        tasks.spawn(async move { vhost.keep_time().await });
    }
    tasks.spawn(rest(node.vhosts.clone()));
    for listener in http {
        tasks.spawn(http_side.clone().serve(listener, alive.clone()));
    }
    for listener in amqp {
        tasks.spawn(serve_amqp(Arc::clone(node), listener, alive.clone()));
    }
    tasks
}

/// Lets virtual hosts that nobody uses give memory back, for ever.
async fn rest(vhosts: Vec<Arc<VirtualHost>>) {
    loop {
        tokio::time::sleep(REST_EVERY).await;
        for vhost in &vhosts {
            vhost.with(|engine, _now| engine.rest());
        }
    }
}

async fn open_vhosts(
    settings: &Settings,
    storage: &Storage,
    logs: Logs,
    lifecycle: &Arc<Lifecycle>,
) -> Result<Vec<Arc<VirtualHost>>, StartError> {
    let names = settings.vhosts.clone();
    let engine_settings = engine::Settings {
        body_cache_bytes: settings.cache.bodies_bytes / names.len() as u64,
        state_bytes: settings.cache.state_bytes / names.len() as u64,
        storage_reserve_bytes: settings.storage.reserve_bytes_of_each(names.len()),
        ..engine::Settings::default()
    };
    let lifecycle = Arc::clone(lifecycle);
    let place = storage.to_string();
    // Replaying a log takes as long as it takes, and none of it is asynchronous.
    let opening = tokio::task::spawn_blocking(move || {
        in_parallel(&names, |name| {
            let settings = engine::Settings { seed: random_seed(), ..engine_settings.clone() };
            let engine = open_engine(name, settings, &logs)
                .map_err(|problem| StartError::VirtualHost { vhost: name.clone(), problem })?;
            Ok(VirtualHost::new(name, &place, engine, Arc::clone(&lifecycle)))
        })
    });
    opening
        .await
        .map_err(|panic| StartError::System { doing: "opening the logs", source: io::Error::other(panic) })?
}

fn open_engine(name: &str, settings: engine::Settings, logs: &Logs) -> Result<Engine, String> {
    let log = LogName::escaped(name).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let engine =
        Engine::open(settings, logs.journal.as_ref(), &log, Arc::clone(&logs.checkpoints), clock::now())
            .map_err(|error| error.to_string())?;
    let found = engine.recovery();
    tracing::info!(
        vhost = name,
        boot = found.boot,
        clean = found.clean,
        queues = found.queues,
        messages = found.messages,
        entries_replayed = found.entries_replayed,
        bytes_replayed = found.bytes_replayed,
        took_ms = started.elapsed().as_millis() as u64,
        "virtual host is open"
    );
    Ok(engine)
}

fn connection_settings(settings: &AmqpSettings, cluster_name: &str) -> amqp::Settings {
    amqp::Settings {
        frame_max: settings.frame_max_bytes,
        channel_max: settings.channel_max,
        heartbeat_s: settings.heartbeat_s,
        message_bytes_max: settings.message_bytes_max,
        handshake_timeout_ms: settings.handshake_timeout.as_millis() as u64,
        product: settings.product.clone(),
        version: settings.version.clone(),
        cluster_name: cluster_name.to_owned(),
        ..amqp::Settings::default()
    }
}

fn addresses(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, StartError> {
    let addresses: io::Result<_> = listeners.iter().map(TcpListener::local_addr).collect();
    addresses.map_err(|source| StartError::System { doing: "asking for a listener's address", source })
}

#[cfg(test)]
mod tests {
    use amqp_wire::connection::{Close, CloseOk};
    use testkit::amqp::{Endpoint, Peer};

    use super::*;
    use crate::settings::Listen;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_that_cannot_go_on_tells_its_clients_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings { data: folder.path().join("data"), ..Settings::default() };
        let any_port = Listen { addresses: vec!["127.0.0.1:0".to_owned()], asked_for: true };
        (settings.amqp.listen, settings.http.listen) = (any_port.clone(), any_port);
        let server = Server::start(settings).await.unwrap();

        let endpoint = Endpoint::guest(server.amqp_addresses()[0]);
        let (told, is_connected) = tokio::sync::oneshot::channel();
        let client = tokio::task::spawn_blocking(move || {
            let mut peer = Peer::open(&endpoint).unwrap();
            told.send(()).unwrap();
            let close: Close = peer.expect(0).unwrap();
            peer.send(0, CloseOk {}).unwrap();
            close
        });
        is_connected.await.unwrap();
        server.node.lifecycle.fail("the disk is gone");
        // Too late to be asked to stop in peace.
        server.stop();

        assert_eq!(server.finish().await, Ending::Failed("the disk is gone".to_owned()));
        let close = client.await.unwrap();
        assert_eq!(close.reply_code, 541);
        assert!(close.reply_text.to_string().contains("can no longer store messages"), "{close:?}");
    }
}
