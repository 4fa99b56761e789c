//! What ends a connection.

use std::fmt;

use amqp_wire::{
    FrameError, Method, MethodError, MethodId, PayloadSnippet, ReplyCode, ShortString, channel, connection,
};

/// A reason to close, with what `connection.close` and `channel.close` say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Why, as a number.
    pub(crate) code: ReplyCode,
    /// `NAME - explanation`.
    pub(crate) text: ShortString,
    /// The method that failed; zeros when it was none.
    pub(crate) method: MethodId,
}

impl Failure {
    /// A failure of no method in particular.
    pub(crate) fn new(code: ReplyCode, explanation: impl fmt::Display) -> Self {
        Self { code, text: code.text(explanation), method: MethodId::default() }
    }

    /// A payload that is no method.
    pub(crate) fn of_method(error: &MethodError, payload: &[u8]) -> Self {
        match *error {
            MethodError::NoId { .. } => Self::unknown_frame(1, payload),
            MethodError::UnknownMethod { id } => Self::new(ReplyCode::CommandInvalid, error).of(id),
            MethodError::Malformed { id, .. } => {
                let arguments = Numbers(payload.get(4..).unwrap_or_default());
                Self::new(ReplyCode::FrameError, format_args!("cannot decode {arguments}")).of(id)
            }
        }
    }

    /// A frame whose payload does not fit its type, in RabbitMQ's words.
    pub(crate) fn unknown_frame(kind: u8, payload: &[u8]) -> Self {
        let snippet = PayloadSnippet::of(payload);
        Self::new(ReplyCode::FrameError, format_args!("type {kind}, {snippet}: unknown_frame"))
    }

    /// A frame on a channel where its type has no place, in RabbitMQ's words.
    pub(crate) fn unexpected_frame(kind: u8, payload: &[u8]) -> Self {
        let snippet = PayloadSnippet::of(payload);
        Self::new(ReplyCode::UnexpectedFrame, format_args!("type {kind}, {snippet}"))
    }

    /// The same, blamed on a method.
    pub(crate) fn of(self, method: MethodId) -> Self {
        Self { method, ..self }
    }

    /// The `channel.close` that says it.
    pub(crate) fn channel_close(self) -> Method {
        let MethodId { class_id, method_id } = self.method;
        channel::Close { reply_code: self.code.number(), reply_text: self.text, class_id, method_id }.into()
    }

    /// The `connection.close` that says it.
    pub(crate) fn connection_close(self) -> Method {
        let MethodId { class_id, method_id } = self.method;
        connection::Close { reply_code: self.code.number(), reply_text: self.text, class_id, method_id }
            .into()
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        Self::new(ReplyCode::FrameError, error)
    }
}

/// Bytes as Erlang's `~w` shows a binary: always numbers. The front alone, because a reply text is short.
struct Numbers<'a>(&'a [u8]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        f.write_str("<<")?;
        for (index, byte) in bytes.iter().take(ShortString::BYTES_MAX).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{byte}")?;
        }
        f.write_str(">>")
    }
}
