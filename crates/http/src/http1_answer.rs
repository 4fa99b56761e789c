//! An answer as HTTP/1.1 writes it, for calls that were waited for without hyper.

use std::io;

use broker::Timestamp;
use bytes::{BufMut, BytesMut};
use http_body_util::BodyExt;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValue, TRANSFER_ENCODING};
use hyper::{Response, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::body::Body;
use crate::time_text::http_date;

/// Writes an answer, head and body, to a client of HTTP/1.1. With `is_last` the client is told that the connection ends.
///
/// # Errors
/// Those of the stream.
pub(crate) async fn write<S>(
    stream: &mut S,
    mut response: Response<Body>,
    now: Timestamp,
    is_last: bool,
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let is_chunked = frame(&mut response, now, is_last);
    let (head, body) = response.into_parts();
    let mut out = encode_head(head.status, &head.headers);
    let mut body = body;
    while let Some(frame) = body.frame().await {
        // A body never fails, and has no trailers.
        let Some(data) = frame.ok().and_then(|frame| frame.into_data().ok()) else { break };
        if is_chunked {
            out.put_slice(format!("{:x}\r\n", data.len()).as_bytes());
        }
        out.put_slice(&data);
        if is_chunked {
            out.put_slice(b"\r\n");
        }
        stream.write_all_buf(&mut out).await?;
    }
    if is_chunked {
        out.put_slice(b"0\r\n\r\n");
    }
    stream.write_all_buf(&mut out).await?;
    stream.flush().await
}

/// Adds the headers that say where the answer ends (RFC 9112, 6). True when the body goes in chunks.
fn frame(response: &mut Response<Body>, now: Timestamp, is_last: bool) -> bool {
    let has_no_body = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = response.body().length();
    if has_no_body {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(&http_date(now)) {
        headers.entry(DATE).or_insert(date);
    }
    if is_last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    match length {
        _ if has_no_body => false,
        Some(bytes) => {
            // The answer to HEAD says how long the body would be, and has none.
            headers.entry(CONTENT_LENGTH).or_insert((bytes as u64).into());
            false
        }
        None => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            true
        }
    }
}

fn encode_head(status: StatusCode, headers: &hyper::HeaderMap) -> BytesMut {
    let mut out = BytesMut::with_capacity(512);
    let reason = status.canonical_reason().unwrap_or("Status");
    out.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in headers {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(response: Response<Body>, is_last: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, response, Timestamp(0), is_last).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        let dates = text.lines().filter(|line| line.starts_with("date: ")).count();
        assert_eq!(dates, 1, "{text}");
        text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
    }

    fn response(status: u16, body: Body) -> Response<Body> {
        Response::builder().status(status).body(body).unwrap()
    }

    #[tokio::test]
    async fn answers_say_where_they_end() {
        let full = response(200, Body::full("hello"));
        assert_eq!(written(full, false).await, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        let none = response(503, Body::empty());
        let expected = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(written(none, true).await, expected);
        assert_eq!(written(response(204, Body::full("x")), false).await, "HTTP/1.1 204 No Content\r\n\r\n");
        let mut head = response(200, Body::empty());
        head.headers_mut().insert(CONTENT_LENGTH, 7.into());
        assert_eq!(written(head, false).await, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
        assert_eq!(
            written(response(299, Body::empty()), false).await,
            "HTTP/1.1 299 Status\r\ncontent-length: 0\r\n\r\n"
        );
    }
}
