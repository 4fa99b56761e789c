//! A broker in memory, and clients that talk to it as over a socket.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker::{Command, ConnectionId, Timestamp};
use bytes::Bytes;
use engine::{Engine, Outlet, Pins};
use field_table::ShortString;
use http_api::{Backend, Condition, Host, Limits, LoginRefused, Page, Right, Service, Submitted, Target};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use journal::storage::MemoryStorage;
use journal::{LogName, MemoryJournal};
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::sync::Notify;

/// A broker in memory with the HTTP side.
pub(crate) struct World {
    pub(crate) backend: Arc<TestBackend>,
    service: Arc<Service>,
}

/// One virtual host, one user (`guest`), the real clock.
pub(crate) struct TestBackend {
    host: Arc<TestHost>,
    last_connection: AtomicU64,
    is_stopping: AtomicBool,
    stopped: Notify,
}

/// An engine behind a lock.
pub(crate) struct TestHost {
    engine: Mutex<Engine>,
    pump_wanted: AtomicBool,
    has_moved: Notify,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Limits { rest_after: Duration::from_millis(50), ..Limits::default() })
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let backend = Arc::new(TestBackend {
            host: TestHost::start(),
            last_connection: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            stopped: Notify::new(),
        });
        let service = Service::new(Arc::clone(&backend) as Arc<dyn Backend>, limits);
        Self { backend, service }
    }

    /// The end of a new connection that a client has.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        tokio::spawn(http_api::serve(Arc::clone(&self.service), there, peer));
        here
    }

    /// A client of HTTP/1.1 on a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect())).await.unwrap();
        Client { sender: Sender::Http1(sender), driver: tokio::spawn(async { drop(connection.await) }) }
    }

    /// A client of HTTP/2 on a connection of its own.
    pub(crate) async fn client2(&self) -> Client {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new());
        let (sender, connection) = builder.handshake(TokioIo::new(self.connect())).await.unwrap();
        Client { sender: Sender::Http2(sender), driver: tokio::spawn(async { drop(connection.await) }) }
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: Ask) -> Told {
        self.client().await.ask(request).await
    }

    /// Declares queues until the journal wants a checkpoint, and writes that.
    pub(crate) async fn checkpoint(&self) {
        for number in 0..100 {
            self.queue(&format!("checkpoint-{number}")).await;
            let host = &self.backend.host;
            if let Some(job) = host.with(|engine, _now| engine.take_checkpoint_job()) {
                let outcome = job.run();
                return host.with(|engine, _now| engine.checkpoint_done(outcome));
            }
        }
        panic!("the journal never wants a checkpoint");
    }

    /// A task queue.
    pub(crate) async fn queue(&self, name: &str) {
        assert_eq!(self.ask(put(&format!("/v1/queues/{name}"))).await.status, 201);
    }

    /// Takes one task, waiting for it, and returns the document of its lease.
    pub(crate) async fn lease(&self, queue: &str) -> Value {
        let ask =
            post(&format!("/v1/queues/{queue}/leases")).header("prefer", "wait=10").json(r#"{"worker":"w"}"#);
        let told = self.ask(ask).await;
        assert_eq!(told.status, 200, "{told:?}");
        told.json()["leases"][0].clone()
    }

    /// Completes a lease with text.
    pub(crate) async fn complete(&self, lease: &Value, result: &'static str) {
        let path = format!("/v1/leases/{}/complete", lease["lease"].as_str().unwrap());
        let told = self.ask(post(&path).header("content-type", "text/plain").body(result)).await;
        assert_eq!(told.status, 200, "{told:?}");
    }

    pub(crate) fn stop(&self) {
        self.backend.is_stopping.store(true, Ordering::SeqCst);
        self.backend.stopped.notify_waiters();
    }

    /// What the core counts.
    pub(crate) fn connections(&self) -> u64 {
        let mut counts = 0;
        self.backend.host.with(|engine, _now| counts = engine.counts().totals.connections);
        counts
    }
}

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it never came to be so");
}

/// A client on one connection.
pub(crate) struct Client {
    sender: Sender,
    driver: tokio::task::JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(crate) async fn ask(&mut self, ask: Ask) -> Told {
        Told::of(self.send(ask).await.expect("an answer comes")).await
    }

    pub(crate) async fn send(&mut self, ask: Ask) -> hyper::Result<Response<hyper::body::Incoming>> {
        let mut request = ask.request;
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let uri = format!("http://test{}", request.uri());
                *request.uri_mut() = uri.parse().unwrap();
                request.headers_mut().remove("host");
                sender.ready().await?;
                sender.clone().send_request(request).await
            }
        }
    }

    /// Another client on the same connection of HTTP/2.
    pub(crate) fn again(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else { panic!("HTTP/1.1 has one request at a time") };
        Self { sender: Sender::Http2(sender.clone()), driver: tokio::spawn(async {}) }
    }

    /// Cuts the connection.
    pub(crate) fn cut(self) {
        self.driver.abort();
    }
}

/// A request of `guest`.
pub(crate) struct Ask {
    pub(crate) request: Request<Full<Bytes>>,
}

fn ask(method: &str, path: &str) -> Ask {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "test")
        .header("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=");
    Ask { request: request.body(Full::default()).unwrap() }
}

pub(crate) fn get(path: &str) -> Ask {
    ask("GET", path)
}

pub(crate) fn head(path: &str) -> Ask {
    ask("HEAD", path)
}

pub(crate) fn post(path: &str) -> Ask {
    ask("POST", path)
}

pub(crate) fn put(path: &str) -> Ask {
    ask("PUT", path)
}

pub(crate) fn patch(path: &str) -> Ask {
    ask("PATCH", path)
}

pub(crate) fn delete(path: &str) -> Ask {
    ask("DELETE", path)
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = Full::new(body.into());
        self
    }

    pub(crate) fn json(self, body: impl Into<Bytes>) -> Self {
        self.header("content-type", "application/json").body(body)
    }
}

/// An answer, all of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Told {
    async fn of(response: Response<hyper::body::Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the body comes whole").to_bytes();
        Self { status: StatusCode::as_u16(&head.status), headers: head.headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A problem of this status and code.
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string(), "{problem}");
        problem
    }
}

impl TestHost {
    fn start() -> Arc<Self> {
        let log = LogName::new("test").unwrap();
        let storage = Arc::new(MemoryStorage::new());
        let engine =
            Engine::open(engine::Settings::default(), &MemoryJournal::automatic(), &log, storage, now())
                .unwrap();
        let host = Arc::new(Self {
            engine: Mutex::new(engine),
            pump_wanted: AtomicBool::new(false),
            has_moved: Notify::new(),
        });
        let weak = Arc::downgrade(&host);
        host.lock().watch(Arc::new(move || {
            if let Some(host) = weak.upgrade() {
                host.pump_wanted.store(true, Ordering::SeqCst);
                host.has_moved.notify_one();
            }
        }));
        tokio::spawn(Arc::clone(&host).keep_moving());
        host
    }

    /// Pumps when the journal has moved, and gives the engine its time.
    async fn keep_moving(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(Duration::from_millis(5), self.has_moved.notified()).await;
            self.with(|engine, now| {
                engine.pump(now);
                if engine.next_deadline().is_some_and(|deadline| deadline <= now) {
                    engine.tick(now);
                }
            });
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Engine, Timestamp) -> R) -> R {
        let (result, helper) = {
            let mut engine = self.lock();
            let result = act(&mut engine, now());
            (result, engine.take_helper())
        };
        if let Some(helper) = helper {
            helper.help();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for TestHost {
    fn name(&self) -> &str {
        "/"
    }

    fn connect(&self, connection: ConnectionId, user: ShortString, outlet: Arc<dyn Outlet>) {
        self.with(|engine, now| engine.connect(now, connection, user, outlet));
    }

    fn submit(&self, connection: ConnectionId, commands: &mut Vec<Command>) -> Submitted {
        let has_credit = self.with(|engine, now| {
            engine.submit(now, commands);
            engine.publish_credit(connection)
        });
        Submitted { has_credit, held_thread: false }
    }

    fn has_credit(&self, connection: ConnectionId) -> bool {
        self.with(|engine, _now| engine.publish_credit(connection))
    }

    fn pins(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<Pins, String>> + Send>> {
        Box::pin(async move {
            let job = self.with(|engine, _now| engine.pins_job()).ok_or("there is no checkpoint yet")?;
            let found = job.run().map_err(|error| error.to_string())?;
            Ok(self.with(|engine, _now| engine.pins(found)))
        })
    }
}

impl Backend for TestBackend {
    fn authenticate(&self, user: &str, password: &[u8], _peer: SocketAddr) -> Result<(), LoginRefused> {
        let is_known = ["guest", "reader"].contains(&user);
        if is_known && password == b"guest" { Ok(()) } else { Err(LoginRefused) }
    }

    fn permits(&self, user: &str, _vhost: &str, right: Right, _target: Target<'_>) -> bool {
        user == "guest" || right == Right::Read
    }

    fn host(&self, name: Option<&[u8]>) -> Option<Arc<dyn Host>> {
        matches!(name, None | Some(b"/")).then(|| Arc::clone(&self.host) as Arc<dyn Host>)
    }

    fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.last_connection.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn condition(&self) -> Condition {
        if self.is_stopping.load(Ordering::SeqCst) { Condition::Stopping } else { Condition::Serving }
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let stopped = self.stopped.notified();
            if !self.is_stopping.load(Ordering::SeqCst) {
                stopped.await;
            }
        })
    }

    fn health(&self) -> Page {
        Page { status: 200, content_type: "application/json", body: Bytes::from_static(b"{}") }
    }

    fn metrics(&self) -> Page {
        Page { status: 200, content_type: "text/plain", body: Bytes::from_static(b"up 1\n") }
    }
}

fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}
