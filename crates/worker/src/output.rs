//! What comes of a task.

use bytes::Bytes;
use serde::Serialize;

/// A result: bytes of any kind, and HTTP's status code for who called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub(crate) body: Bytes,
    pub(crate) content_type: Option<String>,
    pub(crate) status: Option<u16>,
}

impl Output {
    /// No bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// These bytes, of this MIME type.
    pub fn raw(content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), content_type: Some(content_type.into()), status: None }
    }

    /// `value` as JSON.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::raw("application/json", serde_json::to_vec(value)?))
    }

    /// HTTP's status code, 200 to 399; others are ignored, a failure is a [`Fail`](crate::Fail). Without one it is 200.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = (200..400).contains(&status).then_some(status);
        self
    }
}
