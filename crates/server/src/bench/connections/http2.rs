//! An HTTP/2 connection with many requests on it at once.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use hyper::http::{HeaderValue, Request as HttpRequest, header};
use tokio::task::JoinHandle;

use super::door::{Answer, Door, Request};

/// One connection. Its requests are sent by copies of [`Connection::sender`].
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    /// Moves the bytes; gives the streams that the server allows at once through its handle.
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Pending {
    response: ResponseFuture,
}

/// Larger bodies than the API's own are a mistake.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Connection {
    /// Opens one of many connections, without TLS and without an upgrade (both sides know that it is HTTP/2).
    pub(super) async fn open(door: &Door, number: u64) -> Result<Self, String> {
        let stream = door.connect(number).await.map_err(|error| error.to_string())?;
        let (sender, connection) = h2::client::handshake(stream).await.map_err(|error| error.to_string())?;
        Ok(Self { sender, driver: tokio::spawn(connection) })
    }

    /// Sends a request, as soon as the server allows one more stream.
    pub(super) async fn send(&mut self, door: &Door, request: &Request) -> Result<Pending, String> {
        let head = head(door, request)?;
        let text = |error: h2::Error| error.to_string();
        // `ready` takes the sender and gives it back.
        let mut sender = self.sender.clone().ready().await.map_err(text)?;
        let body = Bytes::copy_from_slice(&request.body);
        let (response, mut stream) = sender.send_request(head, body.is_empty()).map_err(text)?;
        if !body.is_empty() {
            stream.send_data(body, true).map_err(text)?;
        }
        Ok(Pending { response })
    }

    /// A request and its answer.
    pub(super) async fn ask(&mut self, door: &Door, request: &Request) -> Result<Answer, String> {
        self.send(door, request).await?.answer().await
    }

    /// How many requests the server lets wait on this connection at once. Known after the first answer.
    pub(super) fn streams_max(&self) -> usize {
        self.sender.current_max_send_streams()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Pending {
    /// Waits for the answer.
    pub(super) async fn answer(self) -> Result<Answer, String> {
        let response = self.response.await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        while let Some(chunk) = incoming.data().await {
            let chunk = chunk.map_err(|error| error.to_string())?;
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(format!("an answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            incoming.flow_control().release_capacity(chunk.len()).map_err(|error| error.to_string())?;
        }
        Ok(Answer { status, body })
    }
}

fn head(door: &Door, request: &Request) -> Result<HttpRequest<()>, String> {
    let mut authorization = HeaderValue::from_str(&door.authorization).map_err(|error| error.to_string())?;
    // Kept out of the tables of compressed headers, as credentials should be.
    authorization.set_sensitive(true);
    let vhost = HeaderValue::from_bytes(door.vhost.as_bytes()).map_err(|error| error.to_string())?;
    let mut builder = HttpRequest::builder()
        .method(request.method)
        .uri(format!("http://{}{}", door.address, request.path))
        .header(header::AUTHORIZATION, authorization)
        .header("vhost", vhost);
    if let Some(wait_s) = request.wait_s {
        builder = builder.header("prefer", format!("wait={wait_s}"));
    }
    if let Some(content_type) = request.content_type {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    builder.body(()).map_err(|error| error.to_string())
}
