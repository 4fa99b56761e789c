//! Why a connection cannot be had, or ended.

use std::io;

use amqp_wire::{ContentError, FrameError, MethodError};

/// Why there is no connection to the broker.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address cannot be understood.
    #[error(transparent)]
    Url(#[from] super::UrlError),
    /// Nobody listens there, or the socket broke.
    #[error("cannot connect to {address}: {source}; is a broker running there?")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The broker did not answer in time.
    #[error("{address} took the connection but did not answer within {waited_s} s; is it an AMQP broker?")]
    Silent {
        /// `host:port`.
        address: String,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
    /// The broker refuses: a wrong password (403), an unknown virtual host (530), a limit.
    #[error("the broker refuses the connection: {code} {text}")]
    Refused {
        /// AMQP's reply code.
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// What answers there does not speak AMQP 0-9-1 as expected.
    #[error("the peer does not speak AMQP 0-9-1 as expected: {0}")]
    Protocol(#[from] Violation),
    /// The thread that serves the connection cannot be started.
    #[error("cannot start the thread of the connection: {0}")]
    Thread(io::Error),
}

impl ConnectError {
    /// Whether trying again later may help: the broker may be starting. A refusal needs another password or name.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. })
    }
}

/// The peer said something that does not fit the protocol.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// Bytes that are no frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A frame that holds no method.
    #[error("{0}")]
    Method(#[from] MethodError),
    /// A damaged content header.
    #[error("{0}")]
    Content(#[from] ContentError),
    /// A method that does not belong there.
    #[error("{method} came unexpectedly on channel {channel}")]
    Unexpected {
        /// The method, or what else came.
        method: &'static str,
        /// Where.
        channel: u16,
    },
    /// A message that nobody should send.
    #[error("a message of {body_bytes} bytes is announced, at most {limit_bytes} are taken")]
    MessageTooLarge {
        /// As announced.
        body_bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
    /// More deliveries than were asked for.
    #[error("the broker delivers more than the {limit} unsettled messages that were asked for")]
    TooManyDeliveries {
        /// The agreed number.
        limit: usize,
    },
}

/// Why a connection that was up is no more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// Nothing came for two heartbeat intervals.
    #[error("the broker was silent for two heartbeat intervals")]
    Silent,
    /// The broker ended it and said why.
    #[error("the broker closed the connection: {code} {text}")]
    Closed {
        /// AMQP's reply code.
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// The broker does not keep to the protocol.
    #[error("{0}")]
    Protocol(#[from] Violation),
}
