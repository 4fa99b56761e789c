//! Properties as values.

use field_table::{RawEntries, ShortString, Table};

use crate::{PropertiesError, PropertiesView, Property, PropertyFlags};

/// The properties of a message, each of which may be absent. Absent is not the same as zero or empty.
///
/// For clients, tests and the ends of a message's way; the broker passes properties on as
/// [bytes](PropertiesView).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// MIME type of the body.
    pub content_type: Option<ShortString>,
    /// MIME encoding of the body.
    pub content_encoding: Option<ShortString>,
    /// Named values of the application and of RabbitMQ's extensions.
    pub headers: Option<Table>,
    /// 2 for persistent, anything else for transient.
    pub delivery_mode: Option<u8>,
    /// 0 is the lowest.
    pub priority: Option<u8>,
    /// Ties a reply to its request.
    pub correlation_id: Option<ShortString>,
    /// Where a reply should go.
    pub reply_to: Option<ShortString>,
    /// Time to live: milliseconds in decimal digits.
    pub expiration: Option<ShortString>,
    /// The application's id of the message.
    pub message_id: Option<ShortString>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// The application's name for the kind of message.
    pub kind: Option<ShortString>,
    /// The user who published.
    pub user_id: Option<ShortString>,
    /// The application that published.
    pub app_id: Option<ShortString>,
    /// Of AMQP 0-8; without meaning.
    pub cluster_id: Option<ShortString>,
}

impl Properties {
    /// Builds values of encoded properties, flags first.
    ///
    /// # Errors
    /// As [`PropertiesView::parse`].
    pub fn decode(raw: &[u8]) -> Result<Self, PropertiesError> {
        let view = PropertiesView::parse(raw)?;
        let text = |property| view.value(property).and_then(|value| ShortString::try_from(value).ok());
        Ok(Self {
            content_type: text(Property::ContentType),
            content_encoding: text(Property::ContentEncoding),
            headers: view.value(Property::Headers).map(Table::decode).transpose()?,
            delivery_mode: view.delivery_mode(),
            priority: view.priority(),
            correlation_id: text(Property::CorrelationId),
            reply_to: text(Property::ReplyTo),
            expiration: text(Property::Expiration),
            message_id: text(Property::MessageId),
            timestamp: view.timestamp(),
            kind: text(Property::Type),
            user_id: text(Property::UserId),
            app_id: text(Property::AppId),
            cluster_id: text(Property::ClusterId),
        })
    }

    /// Appends the encoded properties, flags first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flags_at = out.len();
        out.extend_from_slice(&[0; 2]);
        let mut flags = PropertyFlags::default();
        for property in Property::ALL {
            flags = flags.with(property, self.encode_one(property, out));
        }
        out[flags_at..flags_at + 2].copy_from_slice(&flags.0.to_be_bytes());
    }

    /// The encoded properties, flags first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Appends `property` if it is there, and says whether it was.
    fn encode_one(&self, property: Property, out: &mut Vec<u8>) -> bool {
        match property {
            Property::Headers => self.headers.as_ref().map(|headers| headers.encode(out)),
            Property::DeliveryMode => self.delivery_mode.map(|mode| out.push(mode)),
            Property::Priority => self.priority.map(|priority| out.push(priority)),
            Property::Timestamp => {
                self.timestamp.map(|seconds| out.extend_from_slice(&seconds.to_be_bytes()))
            }
            text => self.short_string(text).map(|text| text.encode(out)),
        }
        .is_some()
    }

    fn short_string(&self, property: Property) -> Option<&ShortString> {
        match property {
            Property::ContentType => self.content_type.as_ref(),
            Property::ContentEncoding => self.content_encoding.as_ref(),
            Property::CorrelationId => self.correlation_id.as_ref(),
            Property::ReplyTo => self.reply_to.as_ref(),
            Property::Expiration => self.expiration.as_ref(),
            Property::MessageId => self.message_id.as_ref(),
            Property::Type => self.kind.as_ref(),
            Property::UserId => self.user_id.as_ref(),
            Property::AppId => self.app_id.as_ref(),
            Property::ClusterId => self.cluster_id.as_ref(),
            Property::Headers | Property::DeliveryMode | Property::Priority | Property::Timestamp => None,
        }
    }
}

impl PropertiesView<'_> {
    /// Builds the headers; an empty table when there are none.
    ///
    /// # Errors
    /// Only for bytes that were never checked.
    pub fn decode_headers(&self) -> Result<Table, PropertiesError> {
        Ok(self.value(Property::Headers).map(Table::decode).transpose()?.unwrap_or_default())
    }

    /// The first header named `key`, looked up without building the others.
    pub fn header(&self, key: &[u8]) -> Option<field_table::RawValue<'_>> {
        self.headers().and_then(|headers: RawEntries<'_>| headers.find(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_not_zero() {
        let zeros =
            Properties { priority: Some(0), reply_to: Some(ShortString::default()), ..Properties::default() };
        assert_eq!(zeros.to_bytes(), [0b0000_1010, 0, 0, 0]);
        assert_eq!(Properties::decode(&zeros.to_bytes()), Ok(zeros));
        assert_eq!(Properties::default().to_bytes(), [0, 0]);
    }
}
