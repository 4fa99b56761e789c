//! The cheapest AMQP 0-9-1 broker that is still honest: the yardstick for benchmarks.
//!
//! It answers how fast anything can be that does real handshakes, reads and writes real frames, and syncs before it
//! confirms. It has one queue whatever the names say, no limits, no recovery, and forgets a delivery once it is sent.
//!
//! ```text
//!     socket ──► Connection ── messages ──► Broker ── deliveries, confirms ──► Outbox ──► socket
//!                                             │ ▲
//!                                     a batch ▼ │ synced
//!                                          committer ──► Journal
//! ```
//!
//! Everything runs on one thread but the syncs. Bytes of publishes go from the read buffer to the disk as they are,
//! and are copied once, into the output of the consumer.

mod broker;
mod channel;
mod committer;
mod connection;
mod consumer;
mod journal;
mod message;
mod methods;
mod outbox;
mod pool;
mod pressure;
mod segments;
mod staged;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::task::{LocalSet, spawn_local};

use self::broker::Broker;
use self::connection::Connection;
use self::journal::Journal;

/// Serves AMQP on `listen` (`host:port`) until the process is killed; syncs to a file in `folder`.
///
/// Prints `listening on ADDRESS` when clients may come.
///
/// # Errors
/// When the address or the folder cannot be used, or a sync fails.
pub fn serve(listen: &str, folder: &Path) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let journal = Journal::create(folder)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {}", listener.local_addr()?)?;
    stdout.flush()?;
    serve_on(listener, journal)
}

fn serve_on(listener: TcpListener, journal: Journal) -> Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let broker = Rc::new(Broker::default());
        tokio::select! {
            outcome = committer::run(&broker, journal) => outcome,
            outcome = accept(&listener, &broker) => outcome,
        }
    })
}

async fn accept(listener: &tokio::net::TcpListener, broker: &Rc<Broker>) -> Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let broker = Rc::clone(broker);
        spawn_local(async move {
            if let Err(error) = Connection::serve(broker, stream).await
                && !is_disconnect(&error)
            {
                eprintln!("null broker: connection of {peer}: {error:#}");
            }
        });
    }
}

/// Whether the client has just gone, as clients of benchmarks do.
fn is_disconnect(error: &anyhow::Error) -> bool {
    let kind = error.root_cause().downcast_ref().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
}
