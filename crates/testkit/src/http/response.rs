//! What a server answers.

use std::borrow::Cow;

use super::HttpError;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header; `name` in lower case. The first one, if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Reads status line and headers; the length of the body comes beside.
    pub(super) fn read_head(head: &str) -> Result<(Self, usize), HttpError> {
        let refuse = |reason| HttpError::Unexpected { reason, head: head.to_owned() };
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| refuse("no status line"))?;
        let headers: Option<Vec<_>> = lines
            .filter(|line| !line.is_empty())
            .map(|line| line.split_once(':'))
            .map(|header| header.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())))
            .collect();
        let headers = headers.ok_or_else(|| refuse("a header without a colon"))?;
        let response = Self { status, headers, body: Vec::new() };
        let body_bytes = match response.header("content-length") {
            Some(length) => length.parse().map_err(|_| refuse("a length that is no number"))?,
            None if matches!(status, 204 | 304) => 0,
            None => return Err(refuse("no Content-Length")),
        };
        Ok((response, body_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read() {
        let (response, body_bytes) =
            Response::read_head("HTTP/1.1 202 Accepted\r\nTask-Id: 7\r\nContent-Length: 12\r\n").unwrap();
        assert_eq!((response.status, response.header("task-id"), body_bytes), (202, Some("7"), 12));
        assert_eq!(Response::read_head("HTTP/1.1 204 No Content\r\n").unwrap().1, 0);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for head in [
            "",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
            "HTTP/1.1 200 OK\r\nnonsense\r\n",
        ] {
            assert!(matches!(Response::read_head(head), Err(HttpError::Unexpected { .. })), "{head:?}");
        }
    }
}
