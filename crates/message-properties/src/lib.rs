//! What a message says of itself: content type, correlation, headers and their like.
//!
//! The form is AMQP 0-9-1's, because a message keeps its properties as they came, byte for byte; every front end writes
//! and reads the same form, and so does the core where a feature is asked for by a header. Nothing here knows of frames.
//!
//! [`Properties`] are values, for the ends of a message's way. [`PropertiesView`] looks things up in the bytes.

mod error;
mod properties;
mod property;
mod view;

pub use error::PropertiesError;
pub use properties::Properties;
pub use property::{Property, PropertyFlags};
pub use view::PropertiesView;
