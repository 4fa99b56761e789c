//! The body of a request while it is on its way.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Version;
use hyper::body::{Body, Incoming};

/// How long a body that nobody wants is received.
const PATIENCE: Duration = Duration::from_secs(2);

/// A body that is read to its end, or thrown away.
///
/// A server that answers early and reads no further resets the stream of HTTP/2, as RFC 9113 (8.1) has it; but clients in
/// wide use, curl 7 among them, then report a broken stream and lose the answer. So what is left of such a body is
/// received for a moment, and the client reads why. On HTTP/1.1 the end of the connection sees to this.
pub(crate) struct Upload {
    /// None when it was thrown away.
    incoming: Option<Incoming>,
    version: Version,
}

impl Upload {
    /// The body of a request of this version.
    pub(crate) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming: Some(incoming), version }
    }

    /// Whether all of it was read, or there is none.
    pub(crate) fn is_complete(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    /// Bytes that are still to come, as far as the client announced them.
    pub(crate) fn bytes_min(&self) -> u64 {
        self.incoming.as_ref().map_or(0, |incoming| incoming.size_hint().lower())
    }

    /// The next bytes, which may be none; `None` at the end.
    ///
    /// # Errors
    /// The client breaks off, or breaks the protocol.
    pub(crate) async fn next(&mut self) -> Option<hyper::Result<Bytes>> {
        let frame = self.incoming.as_mut()?.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_complete() || self.version != Version::HTTP_2 {
            return;
        }
        let mut rest = Self { incoming: self.incoming.take(), version: Version::HTTP_11 };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let receiving = async { while let Some(Ok(_)) = rest.next().await {} };
                let _ = tokio::time::timeout(PATIENCE, receiving).await;
            });
        }
    }
}
