//! Does each connection need a worker, and how many connections can one machine hold?
//!
//! Many callers wait in `call`, most of them idle, while a handful of AMQP workers answers them. What the server's
//! process takes for a connection and for a parked call is measured apart, and every answer is checked.
//!
//! ```text
//!  forebay bench connections ── starts ──> forebay serve          (or somebody's running server)
//!     │   │                                  ^        ^
//!     │   └─ AMQP workers ───────────────────┘        │ connections, one call or many on each
//!     └──── starts ──> forebay bench connections-client (as many as their descriptor limits ask for)
//! ```

mod callers;
mod client_process;
mod clients;
mod door;
mod echo;
mod http1;
mod http2;
mod link;
mod memory;
mod own_server;
mod plan;
mod process;
mod progress;
mod queue;
mod report;
mod round;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod stub;
mod tally;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::client::{ClientError, Url};
use crate::randomness::random;
use crate::signals::StopSignals;

pub(crate) use client_process::run as run_client_process;
pub(crate) use plan::PlanError;
pub(crate) use report::Report;

use own_server::OwnServer;
use plan::{Capacity, Plan};
use progress::Progress;
use round::Round;

/// What is to be measured, and on what.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// This program, for the processes that it starts.
    pub(crate) binary: PathBuf,
    /// Connections of HTTP/1.1, one call on each; 0 leaves the protocol out. `None`: 10,000, or as many as fit.
    pub(crate) http1_connections: Option<u64>,
    /// Connections of HTTP/2; 0 leaves the protocol out. `None`: 1,000, or as many as fit.
    pub(crate) http2_connections: Option<u64>,
    /// Calls on each connection of HTTP/2.
    pub(crate) streams: u64,
    /// How long a call may wait for its answer, in seconds.
    pub(crate) wait_s: u32,
    /// AMQP workers.
    pub(crate) workers: u32,
    /// A server that runs already, instead of one of one's own.
    pub(crate) target: Option<Target>,
}

/// A running server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where it speaks AMQP, and who to be there, over HTTP too.
    pub(crate) url: Url,
    /// Where it speaks HTTP.
    pub(crate) http: SocketAddr,
    /// The operating system's id of its process.
    pub(crate) process_id: u32,
}

/// How the callers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    /// One call at a time on a connection.
    #[serde(rename = "HTTP/1.1")]
    Http1,
    /// Many calls at a time on a connection.
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The machine can't hold what was asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The HTTP API did not do something.
    #[error("cannot {doing} over HTTP at {address}: {problem}")]
    Api {
        /// What was asked.
        doing: &'static str,
        /// Where.
        address: SocketAddr,
        /// The answer, or why there is none.
        problem: String,
    },
    /// The AMQP side did not do something.
    #[error(transparent)]
    Amqp(#[from] ClientError),
    /// The operating system refused something.
    #[error("{doing} failed")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The server that was started ended or is not ready in time.
    #[error("the server did not become ready; it said:\n{log}")]
    ServerNotReady {
        /// Its log.
        log: String,
    },
    /// There is no such process, or it may not be looked at.
    #[error(
        "cannot look at the server's process {process_id} (--pid): {problem}; it has to run on this machine"
    )]
    NoProcess {
        /// Its id.
        process_id: u32,
        /// Why not.
        problem: io::Error,
    },
    /// A client process ended by itself.
    #[error("a client process ended by itself; what it said stands above")]
    ClientEnded,
    /// A signal came.
    #[error("ended by {signal}")]
    Stopped {
        /// Its name.
        signal: &'static str,
    },
    /// Not all connections came to be.
    #[error("{opened} of {asked} connections could be opened; the first that failed: {example}")]
    NotOpened {
        /// How many are open.
        opened: u64,
        /// How many there should be.
        asked: u64,
        /// Why one failed.
        example: String,
    },
    /// The calls did not all get in.
    #[error(
        "{parked} of {asked} calls were parked within {waited_s} s; ask for fewer, or let them wait longer with --wait"
    )]
    NotParked {
        /// How many are in the queue.
        parked: u64,
        /// How many there should be.
        asked: u64,
        /// How long that took.
        waited_s: u64,
    },
}

impl BenchError {
    /// For `map_err`.
    fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

impl Protocol {
    /// Its name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// Measures. Takes as long as the machine needs, mostly below a minute. A signal ends it in order: the processes that
/// were started, their folder and the task queue are gone afterwards.
///
/// # Errors
/// When the measurement could not be made. Wrong and missing answers are no error but part of the report.
pub(crate) async fn measure(options: &Options, signals: &mut StopSignals) -> Result<Report, BenchError> {
    let mut progress = Progress::start();
    let capacity = Capacity::of(options)?;
    let plan = Plan::new(options, &capacity)?;
    for notice in &plan.notices {
        progress.notice(notice);
    }
    let mut report = Report::new(&capacity);
    for load in plan.loads {
        let run = random();
        let round = |target| Round { options, load, run, target, capacity: &capacity };
        // Memory that one round has freed would hide what the next one takes: each has a fresh server.
        let measured = match &options.target {
            Some(target) => round(target).measure(&mut progress, signals).await?,
            None => {
                progress.phase("starting a server on a temporary data directory");
                let starting = OwnServer::start(&options.binary, options.wait_s);
                let server = unless_stopped(signals, starting).await?;
                round(server.target()).measure(&mut progress, signals).await?
            }
        };
        report.rounds.push(measured);
    }
    Ok(report)
}

async fn unless_stopped<T>(
    signals: &mut StopSignals,
    work: impl Future<Output = Result<T, BenchError>>,
) -> Result<T, BenchError> {
    tokio::select! {
        outcome = work => outcome,
        signal = signals.next() => Err(BenchError::Stopped { signal }),
    }
}
