//! HTTP servers of this process.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http_client::Access;

/// Answers requests.
pub(super) trait Site: Send + Sync + 'static {
    /// Answers one. When the client goes away meanwhile, the future is dropped.
    fn answer(&self, headers: HeaderMap, body: Bytes) -> impl Future<Output = Reply> + Send;
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    /// Its status.
    pub(super) status: StatusCode,
    body: String,
}

impl Reply {
    /// An answer with a JSON document.
    pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Self {
        let body =
            serde_json::to_string(document).expect("the documents of the demonstration have text for keys");
        Self { status, body }
    }

    /// An answer that is an apology.
    pub(super) fn sorry(status: StatusCode, reason: &str) -> Self {
        Self::json(status, &serde_json::json!({"detail": reason}))
    }
}

/// A server that answers on a free port of this machine until it is dropped.
#[derive(Debug)]
pub(super) struct Server<S> {
    /// What it serves.
    pub(super) site: Arc<S>,
    address: SocketAddr,
    _acceptor: JoinSet<()>,
}

/// Requests of the demonstration have some hundred bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Connections that have not been accepted yet. A crowd comes all at once.
const BACKLOG: u32 = 4096;

impl<S: Site> Server<S> {
    /// Serves the site.
    pub(super) async fn start(site: S) -> std::io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let site = Arc::new(site);
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(listener, Arc::clone(&site)));
        Ok(Self { site, address, _acceptor: acceptor })
    }

    /// The way to it.
    pub(super) fn access(&self) -> Access {
        Access::anonymous(self.address.to_string())
    }
}

async fn accept<S: Site>(listener: TcpListener, site: Arc<S>) {
    let mut lines = JoinSet::new();
    loop {
        // Those that have ended need not be remembered.
        while lines.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                lines.spawn(serve(stream, Arc::clone(&site)));
            }
            // The connection that was to be accepted is gone, or there are too many: others will follow.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn serve<S: Site>(stream: TcpStream, site: Arc<S>) {
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let reply = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => site.answer(head.headers, body.to_bytes()).await,
            Err(error) => Reply::sorry(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let mut response = Response::new(Full::new(Bytes::from(reply.body)));
        *response.status_mut() = reply.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok::<_, Infallible>(response)
    });
    let _ = stream.set_nodelay(true);
    // Clients go away when they like; that is their affair.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
