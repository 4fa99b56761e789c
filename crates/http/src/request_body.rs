//! The body of a request, received within its bounds.

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;

use crate::body_budget::Room;
use crate::problem::Problem;
use crate::service::Service;
use crate::upload::Upload;

/// A whole body and the room that it takes.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// To be held as long as the bytes are.
    _room: Room,
}

/// Receives a body. Nothing is read of one that announces itself as too long, so that a client that waits for
/// `100 Continue` does not send it.
///
/// # Errors
/// 413 beyond the limit, 408 when the client falls silent, 400 when it breaks off, 503 when there is no room.
pub(crate) async fn receive(service: &Service, mut body: Upload) -> Result<RequestBody, Problem> {
    let limits = service.limits();
    let bytes_max = limits.body_bytes_max;
    if body.bytes_min() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let (mut room, mut first, mut rest) = (Room::default(), Bytes::new(), BytesMut::new());
    loop {
        let Ok(data) = tokio::time::timeout(limits.body_timeout, body.next()).await else {
            return Err(silent(limits.body_timeout.as_secs()));
        };
        let Some(data) = data else { break };
        let data = data.map_err(|error| {
            Problem::bad_request(
                "broken-body",
                "The body breaks off",
                format!("it can't be received: {error}"),
            )
        })?;
        if first.len() + rest.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        service.bodies().take(&mut room, data.len()).await?;
        // Most bodies come in one piece, which is not copied.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    let bytes = if rest.is_empty() { first } else { [first, rest.freeze()].concat().into() };
    Ok(RequestBody { bytes, _room: room })
}

fn too_large(limit: usize) -> Problem {
    let detail = format!(
        "the body is longer than {limit} bytes, the setting http.body_bytes_max; put large data into a store and send its address"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
        .with("limit", limit)
}

fn silent(seconds: u64) -> Problem {
    let detail = format!("no byte of the body came for {seconds} s; send it again");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "Body too slow", detail)
}
