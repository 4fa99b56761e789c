//! `forebay bench connections`

use std::net::{SocketAddr, ToSocketAddrs};

use super::super::{Failure, exit};
use crate::bench::connections::{BenchError, Options, Report, Target, measure};
use crate::client::Url;
use crate::signals::StopSignals;

#[derive(Debug, clap::Args)]
pub(super) struct Connections {
    /// Connections of HTTP/1.1, one call on each; 0 leaves them out [default: 10000, or as many as fit]
    #[arg(long, value_name = "NUMBER")]
    http1_connections: Option<u64>,
    /// Connections of HTTP/2; 0 leaves them out [default: 1000, or as many as fit]
    #[arg(long, value_name = "NUMBER")]
    http2_connections: Option<u64>,
    /// Calls that wait on each connection of HTTP/2
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    streams: u64,
    /// How long a call may wait for its answer, in seconds; parking, measuring and answering have to fit
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3600))]
    wait: u32,
    /// AMQP workers
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    workers: u32,
    /// A running server, as amqp://user:password@host:port/vhost; without it one is started for this alone
    #[arg(long, requires_all = ["http", "pid"])]
    url: Option<Url>,
    /// Where that server speaks HTTP
    #[arg(long, value_name = "HOST:PORT", requires = "url", value_parser = http_address)]
    http: Option<SocketAddr>,
    /// The id of that server's process, whose memory is measured; it has to run on this machine
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Print the figures as JSON (bytes and seconds)
    #[arg(long)]
    json: bool,
}

/// Exit code when a caller did not get its own answer.
const WRONG_ANSWERS: u8 = 1;

impl Connections {
    pub(super) fn run(self) -> Result<(), Failure> {
        let is_json = self.json;
        let options = self.options().map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        let report = runtime.block_on(measure_until_signal(&options));
        // A thread that waits for a server's answer is not waited for.
        runtime.shutdown_background();
        let report = report?;
        if is_json {
            println!("{:#}", report.to_json());
        } else {
            print!("{report}");
        }
        match report.problem() {
            None => Ok(()),
            Some(problem) => Err(Failure::new(WRONG_ANSWERS, anyhow::anyhow!("{problem}"))),
        }
    }

    fn options(self) -> std::io::Result<Options> {
        let target = match (self.url, self.http, self.pid) {
            (Some(url), Some(http), Some(process_id)) => Some(Target { url, http, process_id }),
            // The parser lets nothing between all and none pass.
            _ => None,
        };
        Ok(Options {
            binary: std::env::current_exe()?,
            http1_connections: self.http1_connections,
            http2_connections: self.http2_connections,
            streams: self.streams,
            wait_s: self.wait,
            workers: self.workers,
            target,
        })
    }
}

async fn measure_until_signal(options: &Options) -> Result<Report, Failure> {
    let mut signals = StopSignals::listen().map_err(|error| Failure::new(exit::SOFTWARE, error))?;
    measure(options, &mut signals).await.map_err(failure)
}

fn failure(error: BenchError) -> Failure {
    let exit_code = match error {
        BenchError::Plan(_) => exit::CONFIGURATION,
        BenchError::System { .. } | BenchError::ClientEnded => exit::SOFTWARE,
        _ => exit::UNAVAILABLE,
    };
    Failure::new(exit_code, error)
}

/// As `http://host:port` too, which is what people copy.
fn http_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let mut addresses =
        address.to_socket_addrs().map_err(|error| format!("{error}; expected is host:port"))?;
    addresses.next().ok_or_else(|| "this host has no address".to_owned())
}
