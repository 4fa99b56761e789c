//! The workload: threads that act, and write down what they did and saw. They judge nothing themselves.

pub(super) mod asker;
mod consumer;
pub(super) mod mover;
mod publisher;
mod shared;
pub(super) mod worker;

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Result;
use testkit::amqp::{Endpoint, Peer, PeerError};
use testkit::http::{HttpError, HttpPeer};

pub(super) use self::shared::{Ending, Shared};
use super::breach::Breach;
use super::topology::{FIRST_RECEIPT_PUBLISHER, MESSAGE_QUEUES, RECEIPT_QUEUE};

/// The running threads of one round.
pub(super) struct Load {
    shared: Arc<Shared>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
    threads: Vec<(String, JoinHandle<Result<()>>)>,
}

/// Which threads to run.
#[derive(Clone, Debug)]
pub(super) struct LoadOptions {
    pub(super) publishers: u32,
    pub(super) movers: u64,
    /// Where tasks are sent to over HTTP, and how many send and how many work. No tasks without it.
    pub(super) http_address: Option<String>,
    pub(super) askers: u32,
    pub(super) workers: u32,
}

impl Load {
    /// Connects and starts all threads.
    pub(super) fn start(
        shared: &Arc<Shared>,
        endpoint: &Endpoint,
        options: &LoadOptions,
        rng: &mut fastrand::Rng,
    ) -> Result<Self> {
        let mut load = Self {
            shared: Arc::clone(shared),
            sockets: Arc::new(Mutex::new(Vec::new())),
            threads: Vec::new(),
        };
        for publisher in 0..options.publishers {
            let (shared, rng) = (Arc::clone(shared), rng.fork());
            load.spawn(format!("publisher {publisher}"), endpoint, move |peer| {
                publisher::run(peer, &shared, publisher, rng)
            })?;
        }
        let mut receipts = FIRST_RECEIPT_PUBLISHER;
        for (queue, name) in MESSAGE_QUEUES.iter().enumerate() {
            for way in consumer::Way::all_for(queue == RECEIPT_QUEUE, &mut receipts) {
                let (shared, rng) = (Arc::clone(shared), rng.fork());
                load.spawn(format!("consumer of {name} ({way:?})"), endpoint, move |peer| {
                    consumer::run(peer, &shared, queue, way, rng)
                })?;
            }
        }
        for mover in 0..options.movers {
            let (shared, rng) = (Arc::clone(shared), rng.fork());
            load.spawn(format!("mover {mover}"), endpoint, move |peer| {
                mover::run(peer, &shared, mover, rng)
            })?;
        }
        load.start_tasks(endpoint, options)?;
        Ok(load)
    }

    fn start_tasks(&mut self, endpoint: &Endpoint, options: &LoadOptions) -> Result<()> {
        let Some(address) = &options.http_address else { return Ok(()) };
        for asker in 0..options.askers {
            let (peer, shared) = (HttpPeer::open(address)?, Arc::clone(&self.shared));
            self.spawn_thread(format!("asker {asker}"), move || asker::run(peer, &shared));
        }
        for worker in 0..options.workers {
            let shared = Arc::clone(&self.shared);
            self.spawn(format!("worker {worker}"), endpoint, move |peer| worker::run(peer, &shared))?;
        }
        Ok(())
    }

    /// Cuts all connections from this side. A broker that was killed has done that already.
    pub(super) fn cut(&self) {
        for socket in self.sockets.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // The other side may have closed it before.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Waits for all threads; the first breach or unexpected end among them is the error.
    pub(super) fn join(self) -> Result<()> {
        let mut first = Ok(());
        for (name, thread) in self.threads {
            let outcome = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the thread panicked")));
            if let Err(error) = outcome
                && first.is_ok()
            {
                first = Err(error.context(name));
            }
        }
        first
    }

    fn spawn(
        &mut self,
        name: String,
        endpoint: &Endpoint,
        work: impl FnOnce(Peer) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let peer = Peer::open(endpoint)?;
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(peer.socket()?);
        self.spawn_thread(name, move || work(peer));
        Ok(())
    }

    fn spawn_thread(&mut self, name: String, work: impl FnOnce() -> Result<()> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let thread = thread::spawn(move || match work() {
            Err(error) if is_the_end(&error, &shared) => Ok(()),
            outcome => outcome,
        });
        self.threads.push((name, thread));
    }
}

/// Whether a thread ended because the round did.
fn is_the_end(error: &anyhow::Error, shared: &Shared) -> bool {
    if error.downcast_ref::<Breach>().is_some() || !shared.is_ending() {
        return false;
    }
    // A broker that was asked to stop may say good-bye in the middle of any conversation.
    shared.is_ending_gradually()
        || error.downcast_ref::<PeerError>().is_some_and(PeerError::is_disconnect)
        || error.downcast_ref::<HttpError>().is_some_and(HttpError::is_disconnect)
}
