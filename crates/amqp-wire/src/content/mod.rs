//! Content headers: how large a message's body is, and its properties.

mod error;
mod header;
mod properties;
mod property;
mod view;

pub use error::ContentError;
pub use header::ContentHeader;
pub(crate) use header::encode_header_frame;
pub use properties::Properties;
pub use property::{Property, PropertyFlags};
pub use view::PropertiesView;
