//! A server for tests that answers as it is told, breaks lines, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Access;

/// A running server; it ends when it is dropped.
pub(crate) struct Stub {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _acceptor: JoinSet<()>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The method and the path.
    pub(crate) line: String,
    /// The body.
    pub(crate) body: Bytes,
    headers: hyper::HeaderMap,
}

impl Seen {
    /// A header; empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What the server does with a request.
pub(crate) enum Reaction {
    /// Answers with this status, these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// Breaks the line.
    Hangup,
    /// Never answers.
    Silence,
}

/// An answer with a body.
pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Reaction {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reaction::Answer(status, headers, body.into())
}

/// A problem document, with more headers.
pub(crate) fn problem(status: u16, headers: &[(&'static str, &str)], code: &str, detail: &str) -> Reaction {
    let headers = [&[("content-type", "application/problem+json")], headers].concat();
    let document = serde_json::json!({"type": format!("/problems/{code}"), "title": code, "detail": detail});
    answer(status, &headers, document.to_string())
}

/// A JSON document.
pub(crate) fn json(status: u16, document: &serde_json::Value) -> Reaction {
    answer(status, &[("content-type", "application/json")], document.to_string())
}

impl Stub {
    /// Runs a server that reacts to each request as the function says.
    pub(crate) async fn start(react: impl Fn(&Seen) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(listener, Arc::new(react), Arc::clone(&seen)));
        Self { address, seen, _acceptor: acceptor }
    }

    /// Runs a server that reacts so to its first requests, one by one, and is silent from then on.
    pub(crate) async fn script(reactions: Vec<Reaction>) -> Self {
        let reactions = Mutex::new(reactions.into_iter());
        Self::start(move |_| reactions.lock().unwrap().next().unwrap_or(Reaction::Silence)).await
    }

    /// The way to it.
    pub(crate) fn access(&self) -> Access {
        Access::anonymous(self.address.to_string())
    }

    /// What it was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

type React = dyn Fn(&Seen) -> Reaction + Send + Sync;

async fn accept(listener: TcpListener, react: Arc<React>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut lines = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        lines.spawn(serve(stream, Arc::clone(&react), Arc::clone(&seen)));
    }
}

async fn serve(stream: TcpStream, react: Arc<React>, seen: Arc<Mutex<Vec<Seen>>>) {
    let service = service_fn(|request: Request<Incoming>| async {
        let request = receive(request).await;
        seen.lock().unwrap().push(request.clone());
        let (status, headers, body) = match react(&request) {
            Reaction::Answer(status, headers, body) => (status, headers, body),
            Reaction::Silence => std::future::pending().await,
            // An error of the service ends the connection without an answer.
            Reaction::Hangup => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        };
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body(Full::new(body)).unwrap())
    });
    // A client that goes away in the middle is part of the tests.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn receive(request: Request<Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
    Seen { line: format!("{} {}", head.method, head.uri), body, headers: head.headers }
}
