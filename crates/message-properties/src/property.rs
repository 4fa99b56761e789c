//! The fourteen properties and the flags that announce them.

/// A property of a message, in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Property {
    /// MIME type of the body.
    ContentType,
    /// MIME encoding of the body.
    ContentEncoding,
    /// Named values of the application and of RabbitMQ's extensions.
    Headers,
    /// 2 for persistent, anything else for transient.
    DeliveryMode,
    /// 0 is the lowest.
    Priority,
    /// Ties a reply to its request.
    CorrelationId,
    /// Where a reply should go.
    ReplyTo,
    /// Time to live: milliseconds in decimal digits.
    Expiration,
    /// The application's id of the message.
    MessageId,
    /// Seconds since 1970.
    Timestamp,
    /// The application's name for the kind of message.
    Type,
    /// The user who published; checked by the broker.
    UserId,
    /// The application that published.
    AppId,
    /// Of AMQP 0-8; without meaning.
    ClusterId,
}

impl Property {
    /// Every property, in the order of the wire.
    pub const ALL: [Self; 14] = [
        Self::ContentType,
        Self::ContentEncoding,
        Self::Headers,
        Self::DeliveryMode,
        Self::Priority,
        Self::CorrelationId,
        Self::ReplyTo,
        Self::Expiration,
        Self::MessageId,
        Self::Timestamp,
        Self::Type,
        Self::UserId,
        Self::AppId,
        Self::ClusterId,
    ];

    /// The specification's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ContentType => "content-type",
            Self::ContentEncoding => "content-encoding",
            Self::Headers => "headers",
            Self::DeliveryMode => "delivery-mode",
            Self::Priority => "priority",
            Self::CorrelationId => "correlation-id",
            Self::ReplyTo => "reply-to",
            Self::Expiration => "expiration",
            Self::MessageId => "message-id",
            Self::Timestamp => "timestamp",
            Self::Type => "type",
            Self::UserId => "user-id",
            Self::AppId => "app-id",
            Self::ClusterId => "cluster-id",
        }
    }

    pub(crate) fn layout(self) -> Layout {
        match self {
            Self::Headers => Layout::Table,
            Self::DeliveryMode | Self::Priority => Layout::Number { length_bytes: 1 },
            Self::Timestamp => Layout::Number { length_bytes: 8 },
            _ => Layout::ShortString,
        }
    }

    pub(crate) fn flag(self) -> u16 {
        1 << (15 - self as u16)
    }
}

/// How a property lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A length of one byte, then the value.
    ShortString,
    /// A size of four bytes, then the entries.
    Table,
    /// The value alone.
    Number { length_bytes: usize },
}

impl Layout {
    /// How many bytes of length stand before the value, and how many the value has; `None` when `bytes` ends early.
    pub(crate) fn measure(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let (prefix_bytes, value_bytes) = match self {
            Self::ShortString => (1, usize::from(*bytes.first()?)),
            Self::Table => (4, u32::from_be_bytes(*bytes.first_chunk()?) as usize),
            Self::Number { length_bytes } => (0, length_bytes),
        };
        (bytes.len() - prefix_bytes >= value_bytes).then_some((prefix_bytes, value_bytes))
    }
}

/// Which properties a message has: the first two bytes of its properties.
///
/// The two lowest bits mean nothing; RabbitMQ ignores them, and they are passed on as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PropertyFlags(pub u16);

impl PropertyFlags {
    /// Whether the message has the property.
    pub fn contains(self, property: Property) -> bool {
        self.0 & property.flag() != 0
    }

    /// The announced properties in the order of the wire.
    pub fn iter(self) -> impl Iterator<Item = Property> {
        let mut rest = self.0 & !0b11;
        std::iter::from_fn(move || {
            let property = Property::ALL.get(rest.leading_zeros() as usize).copied()?;
            rest &= !property.flag();
            Some(property)
        })
    }

    pub(crate) fn with(self, property: Property, is_there: bool) -> Self {
        if is_there { Self(self.0 | property.flag()) } else { Self(self.0 & !property.flag()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_the_specifications() {
        assert_eq!(Property::ContentType.flag(), 1 << 15);
        assert_eq!(Property::DeliveryMode.flag(), 1 << 12);
        assert_eq!(Property::ReplyTo.flag(), 1 << 9);
        assert_eq!(Property::ClusterId.flag(), 1 << 2);
    }

    #[test]
    fn iterates_what_is_set_and_skips_the_unused_bits() {
        let flags = PropertyFlags(0b11).with(Property::Timestamp, true).with(Property::Headers, true);
        assert_eq!(flags.iter().collect::<Vec<_>>(), [Property::Headers, Property::Timestamp]);
        assert_eq!(PropertyFlags(u16::MAX).iter().collect::<Vec<_>>(), Property::ALL);
        assert_eq!(PropertyFlags(0).iter().count(), 0);
    }
}
