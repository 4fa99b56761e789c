//! A stand-in for the server, for tests of the callers: it parks calls until it is told to answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Protocol, echo};

/// How the stub answers calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// As a worker would.
    Right,
    /// As a worker would have answered this question, whatever was asked.
    AlwaysFor(Vec<u8>),
    /// With this status and no body.
    Status(u16),
    /// Not at all: the connection is closed.
    Hangup,
    /// It does not come to a call: no login is good enough.
    NoLook,
}

/// A listening stub; it and its connections end with the runtime.
#[derive(Debug)]
pub(super) struct Stub {
    address: SocketAddr,
    parked: watch::Receiver<u64>,
    answer: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

/// What its connections share.
#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    reply: Reply,
    parked: watch::Sender<u64>,
    answer: watch::Receiver<bool>,
}

/// Requests that may wait on an HTTP/2 connection at once.
const STREAMS_MAX: u32 = 1000;

impl Stub {
    pub(super) async fn start(protocol: Protocol, reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (parked, parked_seen) = watch::channel(0);
        let (answer, answer_seen) = watch::channel(false);
        let shared = Arc::new(Shared { protocol, reply, parked, answer: answer_seen });
        let listener = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&shared).serve(stream));
            }
        });
        Self { address, parked: parked_seen, answer, listener }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until so many calls wait for their answer.
    pub(super) async fn until_parked(&self, calls: u64) {
        let mut parked = self.parked.clone();
        let waiting = parked.wait_for(|count| *count == calls);
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
    }

    /// Answers all of them.
    pub(super) fn answer(&self) {
        self.answer.send_replace(true);
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let stream = TokioIo::new(stream);
        let protocol = self.protocol;
        let hangup = (self.reply == Reply::Hangup).then(|| self.answer.clone());
        let service = service_fn(move |request| {
            let shared = Arc::clone(&self);
            async move { Ok::<_, Infallible>(shared.respond(request).await) }
        });
        let serving = async {
            // The client's leaving is no matter of the stub's.
            match protocol {
                Protocol::Http1 => drop(http1::Builder::new().serve_connection(stream, service).await),
                Protocol::Http2 => {
                    let mut server = http2::Builder::new(TokioExecutor::new());
                    server.max_concurrent_streams(STREAMS_MAX);
                    drop(server.serve_connection(stream, service).await);
                }
            }
        };
        match hangup {
            None => serving.await,
            Some(mut told) => tokio::select! {
                () = serving => {}
                _ = told.wait_for(|told| *told) => {}
            },
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            return response(if self.reply == Reply::NoLook { 401 } else { 200 }, Vec::new());
        }
        assert_eq!(request.headers()["authorization"], "Basic Z3Vlc3Q6Z3Vlc3Q=");
        assert_eq!(request.headers()["prefer"], "wait=60");
        assert_eq!(request.uri().path(), "/v1/queues/bench/call");
        let question = request.into_body().collect().await.unwrap().to_bytes();
        self.parked.send_modify(|count| *count += 1);
        let mut told = self.answer.clone();
        told.wait_for(|told| *told).await.unwrap();
        match &self.reply {
            Reply::Right => response(200, echo::answer(&question)),
            Reply::AlwaysFor(other) => response(200, echo::answer(other)),
            Reply::Status(status) => response(*status, Vec::new()),
            Reply::Hangup | Reply::NoLook => std::future::pending().await,
        }
    }
}

fn response(status: u16, body: Vec<u8>) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}
