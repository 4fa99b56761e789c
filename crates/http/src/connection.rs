//! One connection of HTTP, from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::header::CONNECTION;
use hyper::server::conn::{http1, http2};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::backend::Condition;
use crate::body::Body;
use crate::client::Client;
use crate::http1_answer;
use crate::responding::{Handle, Responding};
use crate::service::Service;
use crate::wire::Wire;

/// What HTTP/2 begins with (RFC 9113, 3.4); no request of HTTP/1.1 does.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a client may take to say something that comes while the server stops: its end waits for it.
const LATE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a client may still send after its last answer.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one connection to its end: HTTP/1.1, or HTTP/2 for a client that begins with its preface.
///
/// ```text
///   rests ── bytes come ──> HTTP/1.1 ── nothing happens for a while ──> rests, or waits for an answer ──> rests ──> ...
///      └──── the preface ──> HTTP/2 ──> end
/// ```
///
/// A connection that rests costs its socket and a few hundred bytes, one whose call waits the call beside that; its place in the core stays. Whatever ends it, the
/// core forgets it.
pub async fn serve<S>(service: Arc<Service>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = Arc::new(Client::new(service, peer));
    if let Err(error) = run(&client, stream).await {
        tracing::debug!(%peer, %error, "an HTTP connection broke");
    }
    client.leave().await;
}

/// How HTTP/1.1 was left. The bytes were read and belong to the next request.
enum Left<S> {
    /// Nothing is asked at present.
    Resting(Bytes, S),
    /// The request that was read last waits for its answer.
    Waiting(Responding, Bytes, S),
    /// The connection has ended.
    Ended,
}

/// The end of the server, as all parts of a connection wait for it.
type Ended<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

async fn run<S>(client: &Arc<Client>, mut stream: S) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = Arc::clone(client.service());
    let (backend, limits) = (service.backend(), service.limits());
    // Who comes while the server stops, a load balancer above all, is told so, once.
    let is_late = backend.condition() != Condition::Serving;
    let mut ended = backend.ended();
    let mut patience = if is_late { LATE_PATIENCE } else { limits.head_timeout };
    let mut unread = Bytes::new();
    loop {
        let first = if unread.is_empty() {
            tokio::select! {
                biased;
                () = &mut ended, if !is_late => None,
                first = rest(&mut stream, patience) => first?,
            }
        } else {
            Some(std::mem::take(&mut unread))
        };
        let Some(first) = first else { return Ok(stream.shutdown().await?) };
        // Boxed: while the connection rests, none of this is in memory.
        if first == HTTP2_PREFACE[..] {
            return Box::pin(serve_http2(client, first, stream, ended)).await;
        }
        match Box::pin(serve_http1(client, first, stream, &mut ended)).await? {
            Left::Resting(after, rested) => (unread, stream) = (after, rested),
            Left::Waiting(responding, after, waiting) => {
                (unread, stream) = (after, waiting);
                let Some(response) = wait(client, responding, &mut stream, &mut unread, &mut ended).await?
                else {
                    return Ok(());
                };
                let is_last = backend.condition() != Condition::Serving;
                Box::pin(http1_answer::write(&mut stream, response, backend.now(), is_last)).await?;
                if is_last {
                    return Ok(stream.shutdown().await?);
                }
            }
            Left::Ended => return Ok(()),
        }
        patience = limits.idle_timeout;
    }
}

/// Waits for the client to say something: the first bytes, or none at its end or when its time is up. What could be the
/// preface of HTTP/2 is read to where that is decided.
async fn rest<S: AsyncRead + Unpin>(stream: &mut S, patience: Duration) -> io::Result<Option<Bytes>> {
    let mut buffer = [0; HTTP2_PREFACE.len()];
    let mut length = 0;
    let reading = async {
        loop {
            let read = stream.read(&mut buffer[length..]).await?;
            length += read;
            if read == 0 || length == buffer.len() || !HTTP2_PREFACE.starts_with(&buffer[..length]) {
                return io::Result::Ok(());
            }
        }
    };
    match tokio::time::timeout(patience, reading).await {
        Ok(Ok(())) if length > 0 => Ok(Some(Bytes::copy_from_slice(&buffer[..length]))),
        Ok(Ok(())) | Err(_) => Ok(None),
        Ok(Err(error)) => Err(error),
    }
}

/// Waits for the answer to a request of HTTP/1.1 without all that received it. None when the client is gone.
async fn wait<S: AsyncRead + Unpin>(
    client: &Client,
    mut responding: Responding,
    stream: &mut S,
    unread: &mut Bytes,
    ended: &mut Ended<'_>,
) -> io::Result<Option<Response<Body>>> {
    let (mut buffer, mut is_told) = ([0; HTTP2_PREFACE.len()], false);
    loop {
        tokio::select! {
            biased;
            response = &mut responding => return Ok(Some(response)),
            () = &mut *ended, if !is_told => {
                is_told = true;
                client.stop();
            }
            // An end is what is listened for; the beginning of a next request is kept, and no more of it read.
            read = stream.read(&mut buffer), if unread.is_empty() => match read? {
                0 => return Ok(None),
                length => *unread = Bytes::copy_from_slice(&buffer[..length]),
            },
        }
    }
}

/// Serves HTTP/1.1 until the connection ends, or until nothing has happened for a while.
async fn serve_http1<S>(
    client: &Arc<Client>,
    first: Bytes,
    stream: S,
    ended: &mut Ended<'_>,
) -> Result<Left<S>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = client.service().limits();
    let is_late = client.service().backend().condition() != Condition::Serving;
    let mut builder = http1::Builder::new();
    builder
        .keep_alive(!is_late)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes_max as usize)
        .max_headers(100);
    let wire = Wire::new(first, stream, Arc::clone(client.activity()));
    let mut connection = builder.serve_connection(wire, Serve1(Arc::clone(client)));
    // A request has to come first, so that the head of a slow one does not escape its time by resting.
    let still = client.activity().still(client.activity().begun() + 1, limits.rest_after);
    let (mut still, mut is_told, mut is_resting) = (pin!(still), is_late, false);
    let done = loop {
        tokio::select! {
            biased;
            done = poll_fn(|context| connection.poll_without_shutdown(context)) => break done,
            () = &mut *ended, if !is_told => {
                (is_told, is_resting) = (true, false);
                client.stop();
                Pin::new(&mut connection).graceful_shutdown();
            }
            () = &mut still, if !is_told && !is_resting => {
                if let Some(responding) = client.slot().take() {
                    let (unread, stream) = taken_apart(connection);
                    return Ok(Left::Waiting(responding, unread, stream));
                }
                // Ends at once, since nothing is under way; a request that has just come is answered first.
                is_resting = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let (unread, mut stream) = taken_apart(connection);
    if is_resting && done.is_ok() {
        return Ok(Left::Resting(unread, stream));
    }
    stream.shutdown().await?;
    if !is_told {
        Box::pin(linger(&mut stream)).await;
    }
    done?;
    Ok(Left::Ended)
}

/// Waits a moment for the client to end the connection, too, and reads what it still sends: a socket that is closed with
/// unread bytes is reset, and a reset takes the last answer with it (RFC 9112, 9.6).
async fn linger<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut buffer = [0; 4096];
    let reading = async { while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
    let _ = tokio::time::timeout(LINGER, reading).await;
}

/// The stream of a connection that has written all it had, with what was read and not understood yet.
fn taken_apart<S>(connection: http1::Connection<Wire<S>, Serve1>) -> (Bytes, S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let parts = connection.into_parts();
    let (before, stream) = parts.io.into_parts();
    (joined(parts.read_buf, before), stream)
}

fn joined(read: Bytes, before: Bytes) -> Bytes {
    // Copied or left, never kept: an empty rest of a buffer keeps all of the buffer in memory.
    if read.is_empty() && before.is_empty() {
        return Bytes::new();
    }
    let mut joined = BytesMut::with_capacity(read.len() + before.len());
    joined.put(read);
    joined.put(before);
    joined.freeze()
}

async fn serve_http2<S>(
    client: &Arc<Client>,
    first: Bytes,
    stream: S,
    mut ended: Ended<'_>,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = client.service().limits();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(limits.head_bytes_max)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        // A client that is gone without a word is noticed, and what it waited for given up.
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let wire = Wire::new(first, stream, Arc::clone(client.activity()));
    let mut connection = pin!(builder.serve_connection(wire, Serve2(Arc::clone(client))));
    let mut quiet = pin!(client.activity().quiet(limits.idle_timeout));
    let (mut is_told, mut is_leaving) = (false, false);
    loop {
        tokio::select! {
            biased;
            done = &mut connection => return Ok(done?),
            () = &mut ended, if !is_told => {
                is_told = true;
                client.stop();
                connection.as_mut().graceful_shutdown();
            }
            () = &mut quiet, if !is_told && !is_leaving => {
                is_leaving = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Answers the requests of a connection of HTTP/1.1.
struct Serve1(Arc<Client>);

impl hyper::service::Service<Request<Incoming>> for Serve1 {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Handle;

    fn call(&self, request: Request<Incoming>) -> Handle {
        let (client, activity) = (Arc::clone(&self.0), self.0.activity());
        // Only hyper knows how to end the connection behind the answer.
        let can_wait = request.version() == Version::HTTP_11 && !request.headers().contains_key(CONNECTION);
        let under_way = activity.begin(can_wait);
        let responding = Box::pin(crate::service::respond(client, request, under_way));
        self.0.slot().hold(responding, activity)
    }
}

/// Answers the requests of a connection of HTTP/2.
struct Serve2(Arc<Client>);

impl hyper::service::Service<Request<Incoming>> for Serve2 {
    type Response = Response<Body>;
    type Error = Infallible;
    // Boxed, so that a stream takes the room that its request needs.
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = self.0.activity().begin(false);
        let client = Arc::clone(&self.0);
        Box::pin(async move { Ok(crate::service::respond(client, request, under_way).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(bytes: &[u8]) -> Option<Bytes> {
        let (mut here, mut there) = tokio::io::duplex(64);
        there.write_all(bytes).await.unwrap();
        rest(&mut here, Duration::from_millis(200)).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_preface_is_read_to_where_it_is_decided() {
        assert_eq!(first(b"GET / HTTP/1.1\r\n").await.unwrap(), "GET / HTTP/1.1\r\n");
        assert_eq!(first(b"PUT").await.unwrap(), "PUT");
        assert_eq!(first(b"PRI * HTTP/1").await.unwrap(), "PRI * HTTP/1");
        assert_eq!(first(&[&HTTP2_PREFACE[..], b"more"].concat()).await.unwrap(), HTTP2_PREFACE[..]);
        // Undecided when the time is up.
        assert_eq!(first(b"P").await, None);
        assert_eq!(first(b"").await, None);
    }

    #[test]
    fn an_empty_rest_does_not_keep_the_buffer_that_it_was_read_into() {
        let mut buffer = BytesMut::with_capacity(8192);
        buffer.put_slice(b"a request");
        let request = buffer.split().freeze();
        let rest = joined(buffer.freeze(), Bytes::new());
        assert!(rest.is_empty() && request.is_unique());
        assert_eq!(joined(Bytes::from_static(b"ab"), Bytes::from_static(b"c")), "abc");
    }
}
