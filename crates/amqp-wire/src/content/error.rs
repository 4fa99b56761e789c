//! What can be wrong with a content header.

use message_properties::PropertiesError;

/// The payload of a header frame does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The payload ends before the property flags.
    #[error("a content header of {payload_bytes} bytes is shorter than the 14 bytes that each has")]
    HeaderTooShort {
        /// Length of the payload.
        payload_bytes: usize,
    },
    /// The properties do not parse.
    #[error(transparent)]
    Properties(#[from] PropertiesError),
}
