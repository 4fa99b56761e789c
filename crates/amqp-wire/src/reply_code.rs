//! The codes with which channels and connections are closed and messages returned.

use std::fmt;

/// A reply code of AMQP 0-9-1, with RabbitMQ's name and reach.
///
/// `reply-text` begins with the name: `NOT_FOUND - no queue 'q' in vhost '/'`. See [`ReplyCode::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ReplyCode {
    /// 200: a normal close.
    Success = 200,
    /// 311: the message is larger than a queue or the server takes.
    ContentTooLarge = 311,
    /// 312: a mandatory message met no queue.
    NoRoute = 312,
    /// 313: an immediate message met no ready consumer. Not used by RabbitMQ since 3.0.
    NoConsumers = 313,
    /// 320: an operator or a shutdown closed the connection.
    ConnectionForced = 320,
    /// 402: the virtual host is unknown.
    InvalidPath = 402,
    /// 403: the user may not do this.
    AccessRefused = 403,
    /// 404: no such queue or exchange.
    NotFound = 404,
    /// 405: the queue is exclusive to another connection.
    ResourceLocked = 405,
    /// 406: the request contradicts what exists.
    PreconditionFailed = 406,
    /// 501: the bytes are not a frame, or not of an allowed size.
    FrameError = 501,
    /// 502: a field has a value that it cannot have.
    SyntaxError = 502,
    /// 503: the method is not known, or not in this place.
    CommandInvalid = 503,
    /// 504: the channel is not open, or already open.
    ChannelError = 504,
    /// 505: a frame of another kind was due.
    UnexpectedFrame = 505,
    /// 506: the server lacks the means.
    ResourceError = 506,
    /// 530: forbidden whatever the user's rights.
    NotAllowed = 530,
    /// 540: a part of AMQP that the server does not have.
    NotImplemented = 540,
    /// 541: a fault of the server.
    InternalError = 541,
}

/// What a reply code ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Nothing: it tells of a returned message or a normal close.
    Notice,
    /// The channel; the connection lives. On channel 0 it ends the connection.
    Channel,
    /// The connection with all its channels.
    Connection,
}

impl ReplyCode {
    /// Every code.
    pub const ALL: [Self; 19] = [
        Self::Success,
        Self::ContentTooLarge,
        Self::NoRoute,
        Self::NoConsumers,
        Self::ConnectionForced,
        Self::InvalidPath,
        Self::AccessRefused,
        Self::NotFound,
        Self::ResourceLocked,
        Self::PreconditionFailed,
        Self::FrameError,
        Self::SyntaxError,
        Self::CommandInvalid,
        Self::ChannelError,
        Self::UnexpectedFrame,
        Self::ResourceError,
        Self::NotAllowed,
        Self::NotImplemented,
        Self::InternalError,
    ];

    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The code with this number, if there is one.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The name that begins the reply text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "REPLY_SUCCESS",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// What the code ends.
    pub fn scope(self) -> Scope {
        match self {
            Self::Success | Self::NoRoute | Self::NoConsumers => Scope::Notice,
            Self::ContentTooLarge
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => Scope::Channel,
            _ => Scope::Connection,
        }
    }

    /// `NAME - explanation`. What does not fit the 255 bytes of a short string is cut and, as by RabbitMQ, ends in
    /// three dots.
    pub fn text(self, explanation: impl fmt::Display) -> field_table::ShortString {
        const DOTS: &str = "...";
        let mut text = format!("{} - {explanation}", self.name());
        if text.len() > field_table::ShortString::BYTES_MAX {
            let fits = |end: &usize| text.is_char_boundary(*end);
            let end = (0..=field_table::ShortString::BYTES_MAX - DOTS.len()).rev().find(fits);
            text.truncate(end.unwrap_or_default());
            text.push_str(DOTS);
        }
        field_table::ShortString::from_text_cut(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_codes() {
        for code in ReplyCode::ALL {
            assert_eq!(ReplyCode::from_number(code.number()), Some(code));
        }
        assert_eq!(ReplyCode::from_number(404), Some(ReplyCode::NotFound));
        assert_eq!(ReplyCode::from_number(999), None);
    }

    #[test]
    fn hundreds_of_500_end_the_connection() {
        for code in ReplyCode::ALL {
            assert_eq!(
                code.number() >= 500,
                code.scope() == Scope::Connection && !below_500(code),
                "{code:?}"
            );
        }
    }

    /// The two connection errors with a number below 500.
    fn below_500(code: ReplyCode) -> bool {
        matches!(code, ReplyCode::ConnectionForced | ReplyCode::InvalidPath)
    }

    #[test]
    fn text_fits_a_short_string() {
        assert_eq!(
            ReplyCode::NotFound.text("no queue 'q' in vhost '/'"),
            "NOT_FOUND - no queue 'q' in vhost '/'"
        );
    }

    #[test]
    fn a_long_text_ends_in_dots() {
        let text = ReplyCode::NotFound.text("x".repeat(300)).to_string();
        assert_eq!((text.len(), &text[250..]), (255, "xx..."));
        let text = ReplyCode::NotFound.text("é".repeat(200)).to_string();
        assert!(text.len() <= 255 && text.ends_with("é..."), "{text}");
    }
}
