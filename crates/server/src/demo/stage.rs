//! What all chapters play on.

use tempfile::TempDir;

use super::broker::Broker;
use super::child::Child;
use super::provider::Provider;
use super::site::Server;
use super::worker_process::WorkerProcesses;
use super::{DemoError, Scale, Screen, worker};
use crate::limits;

/// The queue of the demonstration.
pub(super) const QUEUE: &str = "sms";

/// What all chapters play on. Fields are dropped in order: processes before their files.
pub(super) struct Stage {
    pub(super) scale: Scale,
    pub(super) screen: Screen,
    pub(super) provider: Server<Provider>,
    pub(super) broker: Broker,
    folder: TempDir,
}

impl Stage {
    /// Starts the provider and the broker.
    pub(super) async fn set(scale: Scale, screen: Screen) -> Result<Self, DemoError> {
        scale.check(limits::raise_descriptor_limit())?;
        let folder = TempDir::with_prefix("forebay-demo-")
            .map_err(DemoError::system("making a temporary data directory"))?;
        let provider =
            Server::start(Provider::new()).await.map_err(DemoError::system("starting the provider"))?;
        let broker = Broker::start(folder.path()).await?;
        broker.make_queue(QUEUE).await?;
        Ok(Self { scale, screen, provider, broker, folder })
    }

    /// Starts the workers of a chapter, and waits until they ask for tasks.
    pub(super) async fn start_workers(&self) -> Result<Vec<Child>, DemoError> {
        let processes = self.worker_processes();
        let workers = (0..self.scale.workers).map(|_| processes.start()).collect::<Result<_, _>>()?;
        self.broker.wait_for_consumers(QUEUE, self.scale.workers * worker::CONCURRENCY).await?;
        Ok(workers)
    }

    /// What starts workers.
    pub(super) fn worker_processes(&self) -> WorkerProcesses {
        WorkerProcesses {
            broker: self.broker.http_address().to_owned(),
            provider: self.provider.access(),
            folder: self.folder.path().to_owned(),
            lease: self.scale.lease,
        }
    }
}
