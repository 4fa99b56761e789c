//! One line to a server.

use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Access, Answer, HttpError, Request};

/// One line to a server: one request at a time, over a TCP connection that is opened when it is needed.
///
/// A request whose future is dropped takes the TCP connection with it, which tells the server that nobody waits any
/// more; the next request opens another one.
#[derive(Debug)]
pub(crate) struct Connection {
    access: Access,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// The largest answer taken, in bytes: several of the largest results.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const VHOST: HeaderName = HeaderName::from_static("vhost");

impl Connection {
    /// A line that is opened by its first request.
    pub(crate) fn new(access: Access) -> Self {
        Self { access, sender: None }
    }

    /// Opens the line if it is not open.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn open(&mut self) -> Result<(), HttpError> {
        let sender = self.sender().await?;
        self.sender = Some(sender);
        Ok(())
    }

    /// Asks once and waits for the answer as long as `patience` says. After an error the line is closed.
    ///
    /// # Errors
    /// When there is no answer: see [`HttpError`] for what is known of the request then.
    pub(crate) async fn ask(&mut self, request: &Request, patience: Duration) -> Result<Answer, HttpError> {
        let mut sender = self.sender().await?;
        let answer = match timeout(patience, self.exchange(&mut sender, request)).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(HttpError::Silent { address: self.access.address.clone(), waited: patience });
            }
        };
        self.sender = Some(sender);
        Ok(answer)
    }

    /// Taken out while a request is under way: a line that was left in the middle of one is of no more use.
    async fn sender(&mut self) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let address = &self.access.address;
        let unreachable = |reason| HttpError::Unreachable { address: address.clone(), reason };
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| unreachable(std::io::ErrorKind::TimedOut.into()))?
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a line to a server broke");
            }
        });
        Ok(sender)
    }

    async fn exchange(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        request: &Request,
    ) -> Result<Answer, HttpError> {
        let response = sender.send_request(self.encode(request)).await.map_err(|error| self.broken(error))?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: self.read(body).await? })
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, HttpError> {
        match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(HttpError::TooLarge { address: self.access.address.clone(), limit: ANSWER_BYTES_MAX })
            }
            Err(error) => {
                Err(self.broken(*error.downcast().expect("bodies fail by their length or as hyper says")))
            }
        }
    }

    fn encode(&self, request: &Request) -> hyper::Request<Full<Bytes>> {
        let mut encoded = hyper::Request::new(Full::new(request.body.clone()));
        *encoded.method_mut() = request.method.clone();
        *encoded.uri_mut() = request.path.parse().expect("the paths of this program are escaped");
        let headers = encoded.headers_mut();
        *headers = request.headers.clone();
        let host =
            HeaderValue::try_from(&self.access.address).expect("an address that was reached has no spaces");
        headers.insert(HOST, host);
        if let Some(authorization) = &self.access.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(vhost) = &self.access.vhost {
            headers.insert(VHOST, vhost.clone());
        }
        encoded
    }

    fn broken(&self, reason: hyper::Error) -> HttpError {
        HttpError::Broken { address: self.access.address.clone(), reason }
    }
}
