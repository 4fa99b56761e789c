//! A scripted AMQP 0-9-1 peer.
//!
//! ```no_run
//! use amqp_wire::{channel, queue};
//! use testkit::amqp::{Endpoint, Peer, short};
//!
//! let endpoint: Endpoint = "amqp://guest:guest@127.0.0.1:5672/".parse()?;
//! let mut peer = Peer::open(&endpoint)?;
//! peer.open_channel(1)?;
//! let declare = queue::Declare { queue: short("orders"), durable: true, ..Default::default() };
//! let answer: queue::DeclareOk = peer.call(1, declare)?;
//! assert_eq!(answer.message_count, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod endpoint;
mod error;
mod handshake;
mod incoming;
mod peer;

pub use endpoint::{Endpoint, EndpointError};
pub use error::PeerError;
pub use handshake::Handshake;
pub use incoming::{Content, Incoming};
pub use peer::Peer;

use amqp_wire::{Properties, ShortString};

/// A short string of a text that the test knows to be short enough.
///
/// # Panics
/// When `text` is longer than 255 bytes.
pub fn short(text: &str) -> ShortString {
    ShortString::try_from(text).expect("a short string has at most 255 bytes")
}

/// The encoded properties of a persistent message without any other property.
pub fn persistent() -> Vec<u8> {
    Properties { delivery_mode: Some(2), ..Properties::default() }.to_bytes()
}

/// The encoded properties of a message without any property: transient.
pub fn transient() -> Vec<u8> {
    Properties::default().to_bytes()
}
