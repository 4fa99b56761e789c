//! An HTTP/1.1 connection that costs its own process next to nothing while it waits.
//!
//! It understands what the API sends (a status line, headers, `Content-Length`) and reports anything else as an
//! error: a load generator, not a client for the world.

use std::io::{self, ErrorKind};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::door::{Answer, Door, Request};

/// One connection, one request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
}

/// Longer heads or bodies than the API's own are a mistake.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const READ_BYTES: usize = 4096;

impl Connection {
    /// Opens one of many connections.
    pub(super) async fn open(door: &Door, number: u64) -> io::Result<Self> {
        Ok(Self { stream: door.connect(number).await? })
    }

    /// Writes a request.
    pub(super) async fn send(&mut self, door: &Door, request: &Request) -> io::Result<()> {
        self.stream.write_all(&encode(door, request)).await
    }

    /// Reads the answer to the last request. While there is none, no buffer is held.
    pub(super) async fn answer(&mut self) -> io::Result<Answer> {
        let mut input = Vec::new();
        loop {
            self.stream.readable().await?;
            match read_some(&self.stream, &mut input) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if let Some(answer) =
                parse(&input).map_err(|problem| io::Error::new(ErrorKind::InvalidData, problem))?
            {
                return Ok(answer);
            }
        }
    }

    /// A request and its answer.
    pub(super) async fn ask(&mut self, door: &Door, request: &Request) -> io::Result<Answer> {
        self.send(door, request).await?;
        self.answer().await
    }
}

/// Not asynchronous, so that the buffer lies on the stack and in no waiting task.
fn read_some(stream: &TcpStream, input: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; READ_BYTES];
    let count = stream.try_read(&mut buffer)?;
    input.extend_from_slice(&buffer[..count]);
    Ok(count)
}

fn encode(door: &Door, request: &Request) -> Vec<u8> {
    let Request { method, path, wait_s, content_type, body } = request;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nVhost: {}\r\nContent-Length: {}\r\n",
        door.address,
        door.authorization,
        door.vhost,
        body.len()
    );
    if let Some(wait_s) = wait_s {
        head.push_str(&format!("Prefer: wait={wait_s}\r\n"));
    }
    if let Some(content_type) = content_type {
        head.push_str(&format!("Content-Type: {content_type}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The answer, once it is whole.
fn parse(input: &[u8]) -> Result<Option<Answer>, String> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head_bytes) = input.windows(END.len()).position(|window| window == END) else {
        return if input.len() > ANSWER_BYTES_MAX {
            Err("the answer's head has no end".to_owned())
        } else {
            Ok(None)
        };
    };
    let head =
        std::str::from_utf8(&input[..head_bytes]).map_err(|_| "the answer's head is no text".to_owned())?;
    let mut lines = head.split("\r\n");
    let status = status(lines.next().unwrap_or_default())?;
    let body = &input[head_bytes + END.len()..];
    let announced_bytes = match content_length(lines)? {
        Some(bytes) => bytes,
        None if status == 204 || status == 304 => 0,
        None => return Err(format!("an answer with status {status} has no Content-Length")),
    };
    if announced_bytes > ANSWER_BYTES_MAX {
        return Err(format!("an answer of {announced_bytes} bytes; at most {ANSWER_BYTES_MAX} are expected"));
    }
    match body.len() {
        got if got < announced_bytes => Ok(None),
        got if got > announced_bytes => Err(format!("an answer of {announced_bytes} bytes has {got}")),
        _ => Ok(Some(Answer { status, body: body.to_vec() })),
    }
}

fn status(line: &str) -> Result<u16, String> {
    let code = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    code.ok_or_else(|| format!("'{line}' is no status line of HTTP/1.1"))
}

fn content_length<'a>(mut headers: impl Iterator<Item = &'a str>) -> Result<Option<usize>, String> {
    let value = headers.find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    });
    let parse = |value: &str| value.parse().map_err(|_| format!("'{value}' is no Content-Length"));
    value.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nTask-Id: 7\r\n\r\nabc";
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(parse(bytes), Ok(Some(Answer { status: 200, body: b"abc".to_vec() })));
    }

    #[test]
    fn an_answer_without_content_needs_no_length() {
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n"), Ok(Some(Answer { status: 204, body: vec![] })));
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err().contains("Content-Length"));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let check = |bytes: &[u8], expected: &str| {
            let error = parse(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(b"SSH-2.0-x\r\n\r\n", "no status line");
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "1 bytes has 2");
        check(b"HTTP/1.1 200 OK\r\nContent-Length: much\r\n\r\n", "no Content-Length");
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "at most");
    }
}
