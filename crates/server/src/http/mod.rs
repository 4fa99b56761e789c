//! The HTTP side: whether the server is well, and its numbers.

mod healthz;
mod metrics;
mod problem;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::listener::accept;
use crate::node::Node;

type Answer = Response<Full<Bytes>>;

/// Connections served at once, over all listeners' own; a scraper needs one.
const CONNECTIONS_MAX: usize = 256;

/// How long a client may take to send the head of a request, and how long it may keep a connection without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves one listener until its task is dropped.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, _peer) = accept(&listener).await;
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            serve_connection(&node, stream).await;
            drop(place);
        });
    }
}

async fn serve_connection(node: &Node, stream: TcpStream) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(node, &request)) });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

fn answer(node: &Node, request: &Request<Incoming>) -> Answer {
    let known: Option<fn(&Node) -> Answer> = match request.uri().path() {
        "/healthz" => Some(healthz::answer),
        "/metrics" => Some(metrics::answer),
        _ => None,
    };
    let mut answer = match (known, request.method()) {
        (Some(answer), &Method::GET | &Method::HEAD) => answer(node),
        (Some(_), method) => {
            let mut refusal = problem::answer(
                StatusCode::METHOD_NOT_ALLOWED,
                &format!("{method} is not possible here; use GET or HEAD"),
            );
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
        (None, _) => problem::answer(
            StatusCode::NOT_FOUND,
            &format!("there is nothing at {}; there are /healthz and /metrics", request.uri().path()),
        ),
    };
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
