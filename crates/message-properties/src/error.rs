//! What can be wrong with encoded properties.

use field_table::TableError;

/// The properties do not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// They end before what their flags announce.
    #[error("the properties end inside {property}")]
    Truncated {
        /// The property that is cut off; `property flags` for the two bytes in front.
        property: &'static str,
    },
    /// Bytes follow the last property.
    #[error("{bytes_left} bytes follow the last property")]
    TrailingBytes {
        /// How many, at least 1.
        bytes_left: usize,
    },
    /// The headers are not a field table.
    #[error("the headers do not parse: {0}")]
    Headers(#[from] TableError),
}
