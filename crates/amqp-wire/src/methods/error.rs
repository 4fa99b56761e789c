//! Why a method frame could not be read.

use super::MethodId;
use super::argument::ArgumentError;

/// The payload of a method frame is not a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// The payload has no room for the four bytes of an id.
    #[error("a method frame of {payload_bytes} bytes is too short for a method id of 4 bytes")]
    NoId {
        /// Length of the payload.
        payload_bytes: usize,
    },
    /// AMQP 0-9-1 with RabbitMQ's extensions has no such method.
    #[error("unknown method {id}")]
    UnknownMethod {
        /// The numbers that were read.
        id: MethodId,
    },
    /// The method is known but its arguments do not parse.
    #[error("cannot decode the arguments of {name}: {reason}")]
    Malformed {
        /// The method's numbers, for the close.
        id: MethodId,
        /// The method's name.
        name: &'static str,
        /// What is wrong.
        reason: ArgumentError,
    },
}
