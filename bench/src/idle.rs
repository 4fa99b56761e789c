//! Connections that are there and do nothing.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testkit::amqp::Peer;

use crate::Subject;

/// What many idle connections take.
#[derive(Clone, Copy, Debug)]
pub struct IdleFigures {
    /// Connections with a channel each.
    pub connections: usize,
    /// Connections a second, handshake and channel included.
    pub opened_per_s: f64,
    /// Memory of the broker for each that no file backs, in bytes; `None` where it is not known which process it is.
    pub anonymous_bytes: Option<u64>,
}

/// Threads that open connections.
const THREADS: usize = 4;

/// Opens so many connections with a channel each, and lets them rest for so long before it is looked what they take: what the opening alone
/// took is given back meanwhile.
///
/// # Errors
/// When the broker refuses one.
pub fn idle(subject: &Subject, connections: usize, quiet: Duration) -> Result<IdleFigures> {
    allow_files(connections as u64 + 1000)?;
    let memory = || subject.usage().map(|usage| usage.anonymous_bytes);
    let (before, started) = (memory(), Instant::now());
    let opened = thread::scope(|scope| {
        let opening: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || open(subject, (thread..connections).step_by(THREADS).len())))
            .collect();
        let mut opened = Vec::new();
        for thread in opening {
            opened.append(&mut thread.join().map_err(|_| anyhow!("a thread of the load has panicked"))??);
        }
        anyhow::Ok(opened)
    })?;
    let elapsed = started.elapsed();
    thread::sleep(quiet);
    let taken = memory().zip(before).map(|(then, before)| then.saturating_sub(before));
    Ok(IdleFigures {
        connections: opened.len(),
        opened_per_s: opened.len() as f64 / elapsed.as_secs_f64(),
        anonymous_bytes: taken.map(|bytes| bytes / connections as u64),
    })
}

fn open(subject: &Subject, connections: usize) -> Result<Vec<TcpStream>> {
    let open_one = |_| {
        let mut peer = Peer::open(&subject.endpoint)?;
        peer.open_channel(1)?;
        // The peer's buffers are not needed.
        Ok(peer.socket()?)
    };
    (0..connections).map(open_one).collect()
}

/// Each connection is a file.
pub(crate) fn allow_files(files: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < files) {
        let current = Some(files.min(maximum));
        setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum })
            .with_context(|| format!("{files} open files are needed, and the limit is {maximum}"))?;
    }
    Ok(())
}
