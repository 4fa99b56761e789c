//! The peer itself: a socket, and what was read from it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{HttpError, Request, Response};

/// A blocking HTTP/1.1 client on one kept connection, for answers whose length is told.
///
/// Sending and receiving are two steps, so that a script can do something between them: kill the server, say.
#[derive(Debug)]
pub struct HttpPeer {
    stream: TcpStream,
    input: Vec<u8>,
    wait_max: Duration,
}

const READ_BYTES: usize = 16 * 1024;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

impl HttpPeer {
    /// A connection to `host:port`.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(address: &str) -> Result<Self, HttpError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut peer = Self { stream, input: Vec::new(), wait_max: Duration::ZERO };
        peer.set_wait_max(Duration::from_secs(30))?;
        Ok(peer)
    }

    /// How long to wait for more of an answer before giving up. Default 30 s.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn set_wait_max(&mut self, wait_max: Duration) -> Result<(), HttpError> {
        self.stream.set_read_timeout(Some(wait_max))?;
        self.wait_max = wait_max;
        Ok(())
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`HttpPeer::receive`].
    pub fn call(&mut self, request: &Request) -> Result<Response, HttpError> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn send(&mut self, request: &Request) -> Result<(), HttpError> {
        self.send_raw(&request.to_bytes())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The answer to the oldest request that has none yet.
    ///
    /// # Errors
    /// When the server leaves, says nothing in time, or answers in a form that this peer does not know.
    pub fn receive(&mut self) -> Result<Response, HttpError> {
        let head_bytes = loop {
            match self.input.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) {
                Some(head_bytes) => break head_bytes,
                None => self.fill()?,
            }
        };
        let head = String::from_utf8_lossy(&self.input[..head_bytes]).into_owned();
        let (mut response, body_bytes) = Response::read_head(&head)?;
        let body_start = head_bytes + END_OF_HEAD.len();
        while self.input.len() < body_start + body_bytes {
            self.fill()?;
        }
        response.body = self.input[body_start..body_start + body_bytes].to_vec();
        self.input.drain(..body_start + body_bytes);
        Ok(response)
    }

    fn fill(&mut self) -> Result<(), HttpError> {
        let mut chunk = [0; READ_BYTES];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(HttpError::Closed { received_bytes: self.input.len() }),
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(HttpError::TimedOut { waited_ms: self.wait_max.as_millis() })
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A peer whose server says this to whatever it is asked, and leaves.
    fn answered(answer: &'static str) -> HttpPeer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        HttpPeer::open(&address).unwrap()
    }

    #[test]
    fn answers_come_one_by_one() {
        let mut peer =
            answered("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nhi");
        assert_eq!(peer.call(&Request::get("/")).unwrap().status, 204);
        let second = peer.receive().unwrap();
        assert_eq!((second.status, &*second.text(), second.header("x")), (200, "hi", Some("y")));
        assert!(peer.receive().unwrap_err().is_disconnect());
    }

    #[test]
    fn half_an_answer_is_none() {
        let mut peer = answered("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        let error = peer.call(&Request::post("/").json("{}")).unwrap_err();
        assert!(matches!(error, HttpError::Closed { received_bytes: 44 }), "{error}");
    }

    #[test]
    fn silence_is_no_disconnect() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = HttpPeer::open(&listener.local_addr().unwrap().to_string()).unwrap();
        peer.set_wait_max(Duration::from_millis(20)).unwrap();
        let error = peer.call(&Request::get("/")).unwrap_err();
        assert!(matches!(error, HttpError::TimedOut { .. }) && !error.is_disconnect(), "{error}");
    }
}
