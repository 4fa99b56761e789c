//! The callers of one process: they open their connections, and call when they are told to.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::door::{Answer, Door, Request};
use super::tally::{Outcome, Tally};
use super::{Protocol, echo, http1, http2};

/// What the callers of one process are to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    /// The API.
    pub(super) door: Door,
    /// The protocol that they speak.
    pub(super) protocol: Protocol,
    /// The task queue that they call.
    pub(super) queue: String,
    /// Makes the questions of this run differ from those of any other.
    pub(super) run: u64,
    /// The number of their first connection, of all those in all processes.
    pub(super) first_connection: u64,
    /// How many connections they open.
    pub(super) connections: u64,
    /// How many calls wait on each connection at once; 1 for HTTP/1.1.
    pub(super) streams: u64,
    /// How many of them are being opened at once.
    pub(super) opening_max: u64,
    /// How long the server shall let a call wait, in seconds.
    pub(super) wait_s: u32,
}

/// The callers at work. They end, with their connections, when this is dropped.
#[derive(Debug)]
pub(super) struct Callers {
    board: Arc<Board>,
    call: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Callers {
    /// Starts opening the connections.
    pub(super) fn start(assignment: Assignment) -> Self {
        let (call, told_to_call) = watch::channel(false);
        let board = Arc::new(Board::new(&assignment));
        let assignment = Arc::new(assignment);
        let places = Arc::new(Semaphore::new(assignment.opening_max as usize));
        let mut tasks = JoinSet::new();
        for index in 0..assignment.connections {
            let caller = Caller {
                assignment: Arc::clone(&assignment),
                board: Arc::clone(&board),
                number: assignment.first_connection + index,
            };
            tasks.spawn(caller.run(Arc::clone(&places), told_to_call.clone()));
        }
        Self { board, call, _tasks: tasks }
    }

    /// Lets every connection send its calls.
    pub(super) fn call(&self) {
        self.call.send_replace(true);
    }

    /// How it went so far.
    pub(super) fn tally(&self) -> Tally {
        self.board.change(|tally| tally.clone())
    }

    /// Waits until all connections are open, all calls are sent or all are settled: each is told once.
    pub(super) async fn milestone(&self) {
        self.board.milestone.notified().await;
    }
}

/// Where the callers write down how it went.
#[derive(Debug)]
struct Board {
    tally: Mutex<Tally>,
    milestone: Notify,
    connections: u64,
    calls: u64,
}

impl Board {
    fn new(assignment: &Assignment) -> Self {
        Self {
            tally: Mutex::default(),
            milestone: Notify::new(),
            connections: assignment.connections,
            calls: assignment.connections * assignment.streams,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn opened(&self) {
        let opened = self.change(|tally| {
            tally.opened += 1;
            tally.opened
        });
        self.tell_if(opened == self.connections);
    }

    fn not_opened(&self, why: String) {
        self.change(|tally| tally.count_not_opened(why));
        self.tell_if(true);
    }

    fn sent(&self) {
        let sent = self.change(|tally| {
            tally.sent += 1;
            tally.sent
        });
        self.tell_if(sent == self.calls);
    }

    fn settled(&self, outcome: Outcome) {
        let settled = self.change(|tally| {
            tally.count(outcome);
            tally.settled()
        });
        self.tell_if(settled == self.calls);
    }

    fn tell_if(&self, is_milestone: bool) {
        if is_milestone {
            self.milestone.notify_one();
        }
    }
}

/// Whoever holds one connection.
#[derive(Debug)]
struct Caller {
    assignment: Arc<Assignment>,
    board: Arc<Board>,
    /// The connection's number.
    number: u64,
}

impl Caller {
    /// Never ends by itself: an answered connection stays open.
    async fn run(self, places: Arc<Semaphore>, told_to_call: watch::Receiver<bool>) {
        // Boxed, so that a waiting connection costs what its own protocol needs.
        match self.assignment.protocol {
            Protocol::Http1 => Box::pin(self.run_http1(places, told_to_call)).await,
            Protocol::Http2 => Box::pin(self.run_http2(places, told_to_call)).await,
        }
        std::future::pending().await
    }

    /// Opens a connection when there is a place for that, and waits until all shall call. None when there is nothing to call
    /// by, or nobody left to say so.
    async fn ready<C>(
        &self,
        places: &Semaphore,
        mut told_to_call: watch::Receiver<bool>,
        open: impl Future<Output = Result<C, String>>,
    ) -> Option<C> {
        let place = places.acquire().await;
        let connection = match open.await {
            Ok(connection) => connection,
            Err(why) => {
                self.board.not_opened(format!("connection {}: {why}", self.number));
                return None;
            }
        };
        drop(place);
        self.board.opened();
        told_to_call.wait_for(|told| *told).await.ok()?;
        Some(connection)
    }

    async fn run_http1(&self, places: Arc<Semaphore>, told_to_call: watch::Receiver<bool>) {
        let Some(mut connection) = self.ready(&places, told_to_call, self.open_http1()).await else { return };
        let (question, request) = self.call(0);
        let outcome = match connection.send(&self.assignment.door, &request).await {
            Ok(()) => {
                self.board.sent();
                drop(request);
                connection.answer().await.map(|answer| judge(&question, &answer))
            }
            Err(error) => Err(error),
        };
        self.board.settled(outcome.unwrap_or_else(|error| broken(&question, error)));
        std::future::pending::<()>().await;
    }

    async fn open_http1(&self) -> Result<http1::Connection, String> {
        let door = &self.assignment.door;
        let text = |error: std::io::Error| error.to_string();
        let mut connection = http1::Connection::open(door, self.number).await.map_err(text)?;
        self.check_look(&connection.ask(door, &Request::look(&self.assignment.queue)).await.map_err(text)?)?;
        Ok(connection)
    }

    async fn run_http2(&self, places: Arc<Semaphore>, told_to_call: watch::Receiver<bool>) {
        let Some(mut connection) = self.ready(&places, told_to_call, self.open_http2()).await else { return };
        let mut waiting = JoinSet::new();
        for stream in 0..self.assignment.streams {
            let (question, request) = self.call(stream);
            let board = Arc::clone(&self.board);
            match connection.send(&self.assignment.door, &request).await {
                Ok(pending) => {
                    board.sent();
                    waiting.spawn(async move {
                        let outcome = match pending.answer().await {
                            Ok(answer) => judge(&question, &answer),
                            Err(error) => broken(&question, error),
                        };
                        board.settled(outcome);
                    });
                }
                Err(error) => board.settled(broken(&question, error)),
            }
        }
        waiting.join_all().await;
        std::future::pending::<()>().await;
    }

    async fn open_http2(&self) -> Result<http2::Connection, String> {
        let Assignment { door, queue, streams, .. } = &*self.assignment;
        let mut connection = http2::Connection::open(door, self.number).await?;
        self.check_look(&connection.ask(door, &Request::look(queue)).await?)?;
        let streams_max = connection.streams_max();
        if (streams_max as u64) < *streams {
            return Err(format!(
                "the server lets {streams_max} requests wait on a connection at once, and {streams} were asked for; \
                 use --streams {streams_max}"
            ));
        }
        Ok(connection)
    }

    fn check_look(&self, answer: &Answer) -> Result<(), String> {
        if answer.is_success() {
            return Ok(());
        }
        Err(format!("the server refuses a look at queue '{}': {answer}", self.assignment.queue))
    }

    /// The question of one of the connection's calls, and the request that asks it.
    fn call(&self, stream: u64) -> (Vec<u8>, Request) {
        let Assignment { run, streams, queue, wait_s, .. } = &*self.assignment;
        let question = echo::question(*run, self.number * streams + stream);
        let request = Request::call(queue, *wait_s, question.clone());
        (question, request)
    }
}

fn judge(question: &[u8], answer: &Answer) -> Outcome {
    let expected = echo::answer(question);
    match answer.status {
        200 if answer.body == expected => Outcome::Correct,
        200 => Outcome::Wrong(format!(
            "the caller that asked '{}' was answered '{}'",
            String::from_utf8_lossy(question),
            String::from_utf8_lossy(&answer.body)
        )),
        202 => Outcome::Late,
        _ => Outcome::Refused(format!("the server refuses a call: {answer}")),
    }
}

fn broken(question: &[u8], error: impl std::fmt::Display) -> Outcome {
    Outcome::Broken(format!("the caller that asked '{}': {error}", String::from_utf8_lossy(question)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stub::{Reply, Stub};
    use super::*;

    const CONNECTIONS: u64 = 20;

    /// Lets the callers call a stub that answers as given, and returns how it went.
    async fn check(protocol: Protocol, streams: u64, reply: Reply) -> Tally {
        let stub = Stub::start(protocol, reply).await;
        let callers = start(&stub, protocol, streams);
        until(&callers, |tally| tally.opened + tally.not_opened == CONNECTIONS).await;
        if callers.tally().not_opened > 0 {
            return callers.tally();
        }
        callers.call();
        let calls = CONNECTIONS * streams;
        until(&callers, |tally| tally.sent == calls).await;
        stub.until_parked(calls).await;
        assert_eq!(callers.tally().settled(), 0, "nobody is answered before the signal");
        stub.answer();
        until(&callers, |tally| tally.settled() == calls).await;
        callers.tally()
    }

    fn start(stub: &Stub, protocol: Protocol, streams: u64) -> Callers {
        let url = "amqp://guest:guest@127.0.0.1".parse().unwrap();
        Callers::start(Assignment {
            door: Door::new(stub.address(), &url),
            protocol,
            queue: "bench".to_owned(),
            run: 7,
            first_connection: 40,
            connections: CONNECTIONS,
            streams,
            opening_max: 8,
            wait_s: 60,
        })
    }

    async fn until(callers: &Callers, is_reached: impl Fn(&Tally) -> bool) {
        let waiting = async {
            while !is_reached(&callers.tally()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(waited.is_ok(), "not reached: {:?}", callers.tally());
    }

    #[tokio::test]
    async fn every_caller_gets_its_own_answer() {
        for (protocol, streams) in [(Protocol::Http1, 1), (Protocol::Http2, 1), (Protocol::Http2, 50)] {
            let tally = check(protocol, streams, Reply::Right).await;
            let calls = CONNECTIONS * streams;
            let expected = Tally { opened: CONNECTIONS, sent: calls, correct: calls, ..Tally::default() };
            assert_eq!(tally, expected);
        }
    }

    #[tokio::test]
    async fn an_answer_for_somebody_else_is_wrong() {
        for (protocol, streams) in [(Protocol::Http1, 1), (Protocol::Http2, 5)] {
            let tally = check(protocol, streams, Reply::AlwaysFor(echo::question(7, 41 * streams))).await;
            assert_eq!((tally.correct, tally.wrong), (1, CONNECTIONS * streams - 1));
            assert!(tally.examples[0].contains("was answered"), "{:?}", tally.examples);
        }
    }

    #[tokio::test]
    async fn an_answer_that_comes_too_late_or_is_a_refusal_is_told_apart() {
        for (protocol, streams) in [(Protocol::Http1, 1), (Protocol::Http2, 5)] {
            let calls = CONNECTIONS * streams;
            let tally = check(protocol, streams, Reply::Status(202)).await;
            assert_eq!((tally.late, tally.settled()), (calls, calls));
            let tally = check(protocol, streams, Reply::Status(503)).await;
            assert_eq!((tally.refused, tally.settled()), (calls, calls));
            assert!(tally.examples[0].contains("503"), "{:?}", tally.examples);
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_settles_its_calls() {
        for (protocol, streams) in [(Protocol::Http1, 1), (Protocol::Http2, 5)] {
            let tally = check(protocol, streams, Reply::Hangup).await;
            assert_eq!((tally.broken, tally.correct), (CONNECTIONS * streams, 0));
        }
    }

    #[tokio::test]
    async fn a_connection_that_takes_fewer_streams_is_not_opened() {
        let tally = check(Protocol::Http2, 1001, Reply::Right).await;
        assert_eq!(tally.not_opened, CONNECTIONS);
        assert!(tally.examples[0].contains("--streams 1000"), "{:?}", tally.examples);
    }

    #[tokio::test]
    async fn a_server_that_lets_nobody_look_is_told() {
        let tally = check(Protocol::Http1, 1, Reply::NoLook).await;
        assert_eq!((tally.opened, tally.not_opened), (0, CONNECTIONS));
        assert!(tally.examples[0].contains("401"), "{:?}", tally.examples);
    }
}
