//! The task queue that is called.

use std::sync::{Arc, Mutex, PoisonError};

use amqp_wire::{Method, ShortString, queue};

use super::door::{Door, Request};
use super::{BenchError, http1};
use crate::client::{Client, Url, unexpected};

/// A task queue that exists for this measurement only.
#[derive(Debug)]
pub(super) struct TaskQueue {
    name: String,
    door: Door,
    /// Shared with the thread that waits for its answer.
    client: Arc<Mutex<Client>>,
}

impl TaskQueue {
    /// Makes the queue.
    pub(super) async fn declare(door: &Door, url: &Url, name: String) -> Result<Self, BenchError> {
        ask(door, &Request::declare(&name), "make a task queue").await?;
        let url = url.clone();
        let client = blocking(move || Ok(Client::connect(&url)?)).await?;
        Ok(Self { name, door: door.clone(), client: Arc::new(Mutex::new(client)) })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How many tasks are in it that no worker has. This is what tells that a call is parked: the server has taken its
    /// task in, and the caller waits for nobody but a worker.
    pub(super) async fn ready_count(&self) -> Result<u64, BenchError> {
        let queue = ShortString::from_text_cut(&self.name);
        let client = Arc::clone(&self.client);
        blocking(move || {
            let mut client = client.lock().unwrap_or_else(PoisonError::into_inner);
            match client.call(queue::Declare { queue, passive: true, ..queue::Declare::default() })? {
                Method::Queue(queue::Method::DeclareOk(answer)) => Ok(answer.message_count.into()),
                other => Err(unexpected(&other).into()),
            }
        })
        .await
    }

    /// Removes it.
    pub(super) async fn delete(self) -> Result<(), BenchError> {
        ask(&self.door, &Request::delete(&self.name), "remove the task queue").await
    }
}

async fn ask(door: &Door, request: &Request, doing: &'static str) -> Result<(), BenchError> {
    let failed = |problem: String| BenchError::Api { doing, address: door.address, problem };
    let asking = async { http1::Connection::open(door, 0).await?.ask(door, request).await };
    let answer = asking.await.map_err(|error| failed(error.to_string()))?;
    if answer.is_success() { Ok(()) } else { Err(failed(answer.to_string())) }
}

/// The client of this crate blocks, and gets a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BenchError> + Send + 'static,
) -> Result<T, BenchError> {
    let working = tokio::task::spawn_blocking(work).await;
    working.unwrap_or_else(|panic| Err(BenchError::system("asking over AMQP")(std::io::Error::other(panic))))
}
