//! The client processes, seen from the process that measures.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use tokio::sync::mpsc;

use super::BenchError;
use super::callers::Assignment;
use super::client_process::CALL;
use super::process::Process;
use super::tally::Tally;

/// The processes; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Clients {
    processes: Vec<Client>,
    told: mpsc::Receiver<Told>,
}

#[derive(Debug)]
struct Client {
    /// `None` once it was told to end.
    orders: Option<ChildStdin>,
    tally: Tally,
    process: Process,
}

/// A client's newest tally, or `None` when it has ended.
type Told = (usize, Option<Tally>);

/// The hidden commands that make this program a client process.
const COMMAND: [&str; 2] = ["bench", "connections-client"];

impl Clients {
    /// Starts a process for each part of the work, which at once begins to open its connections.
    pub(super) fn start(binary: &Path, parts: &[Assignment]) -> Result<Self, BenchError> {
        let failed = BenchError::system("starting a client process");
        let (teller, told) = mpsc::channel(64);
        let start = |(index, part)| Client::start(binary, index, part, teller.clone());
        let processes: std::io::Result<_> = parts.iter().enumerate().map(start).collect();
        Ok(Self { processes: processes.map_err(failed)?, told })
    }

    /// Lets every connection send its calls.
    pub(super) fn call(&mut self) -> Result<(), BenchError> {
        for client in &mut self.processes {
            if let Some(orders) = &mut client.orders {
                writeln!(orders, "{CALL}").map_err(BenchError::system("telling a client process to call"))?;
            }
        }
        Ok(())
    }

    /// How it went so far, in all processes.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for client in &self.processes {
            sum.add(&client.tally);
        }
        sum
    }

    /// Waits for news, at most until `deadline`, and returns the newest sum.
    pub(super) async fn news(&mut self, deadline: Instant) -> Result<Tally, BenchError> {
        if let Ok(Some((index, told))) = tokio::time::timeout_at(deadline.into(), self.told.recv()).await {
            match told {
                Some(tally) => self.processes[index].tally = tally,
                None => return Err(BenchError::ClientEnded),
            }
        }
        Ok(self.tally())
    }

    /// Closes all connections and waits until the processes are gone.
    pub(super) async fn close(mut self) -> Result<(), BenchError> {
        let ending = tokio::task::spawn_blocking(move || {
            for client in &mut self.processes {
                client.orders = None;
            }
            self.told.close();
            self.processes.iter_mut().try_for_each(|client| client.process.0.wait().map(drop))
        });
        let ended = ending.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        ended.map_err(BenchError::system("waiting for a client process"))
    }
}

impl Client {
    fn start(
        binary: &Path,
        index: usize,
        part: &Assignment,
        teller: mpsc::Sender<Told>,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(binary);
        let mut process = Process::spawn(command.args(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let (Some(mut orders), Some(output)) = (process.0.stdin.take(), process.0.stdout.take()) else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        let mut assignment = serde_json::to_vec(part)?;
        assignment.push(b'\n');
        orders.write_all(&assignment)?;
        std::thread::spawn(move || pass_on(index, output, &teller));
        Ok(Self { orders: Some(orders), tally: Tally::default(), process })
    }
}

/// Runs until the process has ended or nobody wants to know.
fn pass_on(index: usize, output: ChildStdout, teller: &mpsc::Sender<Told>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(tally) = serde_json::from_str(&line) else { break };
        if teller.blocking_send((index, Some(tally))).is_err() {
            return;
        }
    }
    // Nobody listens any more if the end was asked for.
    let _ = teller.blocking_send((index, None));
}
