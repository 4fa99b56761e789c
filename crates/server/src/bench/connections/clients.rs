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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Protocol;
    use super::super::door::Door;
    use super::super::stand_in::StandIn;
    use super::*;

    fn part() -> Assignment {
        let url = "amqp://guest:guest@127.0.0.1".parse().unwrap();
        Assignment {
            door: Door::new("127.0.0.1:1".parse().unwrap(), &url),
            protocol: Protocol::Http1,
            queue: "bench".to_owned(),
            run: 7,
            first_connection: 0,
            connections: 5,
            streams: 1,
            opening_max: 1,
            wait_s: 60,
        }
    }

    fn line(tally: &Tally) -> String {
        serde_json::to_string(tally).unwrap()
    }

    async fn until(clients: &mut Clients, expected: &Tally) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while clients.news(deadline).await.unwrap() != *expected {
            assert!(Instant::now() < deadline, "{:?}", clients.tally());
        }
    }

    #[tokio::test]
    async fn tallies_of_all_processes_are_added_and_the_end_of_orders_ends_them() {
        let opened = Tally { opened: 5, ..Tally::default() };
        let answered = Tally { sent: 5, correct: 5, ..opened.clone() };
        let stand_in = StandIn::new(&format!(
            "read assignment\necho '{}'\nread order\ntest $order = call && echo '{}'\nread end",
            line(&opened),
            line(&answered)
        ));
        let mut clients = Clients::start(&stand_in.binary(), &[part(), part()]).unwrap();
        until(&mut clients, &Tally { opened: 10, ..Tally::default() }).await;
        clients.call().unwrap();
        until(&mut clients, &Tally { opened: 10, sent: 10, correct: 10, ..Tally::default() }).await;
        clients.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_is_an_error() {
        let stand_in = StandIn::new("read assignment\nexit 3");
        let mut clients = Clients::start(&stand_in.binary(), &[part()]).unwrap();
        let news = clients.news(Instant::now() + Duration::from_secs(20)).await;
        assert!(matches!(news, Err(BenchError::ClientEnded)), "{news:?}");
    }

    #[tokio::test]
    async fn no_news_is_the_old_sum() {
        let stand_in = StandIn::new("read assignment\nread end");
        let mut clients = Clients::start(&stand_in.binary(), &[part()]).unwrap();
        let news = clients.news(Instant::now() + Duration::from_millis(10)).await;
        assert_eq!(news.unwrap(), Tally::default());
    }
}
