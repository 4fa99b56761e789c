//! A publish that has arrived: from its parts to the operation.

use std::borrow::Cow;
use std::ops::Range;

use amqp_wire::{PropertiesView, Property, ReplyCode, ShortString};
use broker::{Envelope, Operation, Publish, Refusal};
use bytes::Bytes;

use crate::client::Client;
use crate::refusal::front_end;
use crate::reply_to::{self, ReplyConsumer};
use crate::{Settings, expiration};

/// Where the parts of a message lie in a buffer, and the flags of its method.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) exchange: Range<usize>,
    pub(crate) routing_key: Range<usize>,
    /// Checked: they parse.
    pub(crate) properties: Range<usize>,
    pub(crate) body: Range<usize>,
    pub(crate) mandatory: bool,
    pub(crate) immediate: bool,
}

/// The publish, or its refusal when the message says something that it may not say.
#[inline]
pub(crate) fn operation(
    bytes: Bytes,
    parts: Parts,
    reply: Option<&ReplyConsumer>,
    client: &Client,
) -> Operation {
    let properties = PropertiesView::from_checked(&bytes[parts.properties.clone()]);
    if parts.immediate {
        return Operation::Refuse(Box::new(front_end(ReplyCode::NotImplemented, "immediate=true")));
    }
    if !needs_check(properties) {
        return Operation::Publish(publish(bytes, parts, None));
    }
    match check(properties, reply, client) {
        Ok(replaced) => Operation::Publish(publish(bytes, parts, replaced)),
        Err(refusal) => {
            let exchange = ShortString::try_from(&bytes[parts.exchange]).unwrap_or_default();
            Operation::RefusePublish { exchange, refusal: Box::new(refusal) }
        }
    }
}

/// The refusal of a body that is longer than what is taken.
pub(crate) fn too_large(body_bytes: u64, settings: &Settings) -> Operation {
    let limit = settings.message_bytes_max;
    let configured = if limit == Settings::MESSAGE_BYTES_TOP { "" } else { "configured " };
    let text = format!("message size {body_bytes} is larger than {configured}max size {limit}");
    Operation::Refuse(Box::new(front_end(ReplyCode::PreconditionFailed, text)))
}

/// Properties that have to replace those that came; `None` when those that came are fine.
type Replaced = Option<Vec<u8>>;

/// Whether a property is there that could be wrong. Most messages have none.
fn needs_check(properties: PropertiesView<'_>) -> bool {
    let flags = properties.flags();
    [Property::ReplyTo, Property::Expiration, Property::UserId, Property::Headers]
        .into_iter()
        .any(|property| flags.contains(property))
}

fn check(
    properties: PropertiesView<'_>,
    reply: Option<&ReplyConsumer>,
    client: &Client,
) -> Result<Replaced, Refusal> {
    let replaced = address_reply(properties, reply)?;
    check_expiration(properties)?;
    check_copies(properties)?;
    check_user(properties, client)?;
    Ok(replaced)
}

#[inline]
fn publish(bytes: Bytes, parts: Parts, replaced: Replaced) -> Publish {
    let Parts { exchange, routing_key, properties, body, mandatory, .. } = parts;
    let raw = replaced.as_deref().map_or(Cow::Borrowed(&bytes[properties.clone()]), Cow::Borrowed);
    let view = PropertiesView::from_checked(&raw);
    let (persistent, headers) = (view.is_persistent(), headers_range(view));
    let envelope = match &replaced {
        None => Envelope::over(bytes, exchange, routing_key, properties, body),
        Some(properties) => Envelope::new(&bytes[exchange], &bytes[routing_key], properties, &bytes[body]),
    };
    Publish { envelope, mandatory, persistent, headers }
}

/// Where the table of headers lies, the four bytes of its size included.
fn headers_range(properties: PropertiesView<'_>) -> Option<Range<u32>> {
    const SIZE_BYTES: usize = 4;
    let entries = properties.range(Property::Headers)?;
    Some((entries.start - SIZE_BYTES) as u32..entries.end as u32)
}

/// Puts the channel's own address in place of the name that stands for it.
fn address_reply(properties: PropertiesView<'_>, reply: Option<&ReplyConsumer>) -> Result<Replaced, Refusal> {
    if !properties.reply_to().is_some_and(reply_to::is_pseudo_queue) {
        return Ok(None);
    }
    let Some(reply) = reply else {
        return Err(front_end(ReplyCode::PreconditionFailed, "fast reply consumer does not exist"));
    };
    Ok(Some(properties.with_reply_to(Some(&reply.address))))
}

fn check_expiration(properties: PropertiesView<'_>) -> Result<(), Refusal> {
    let Some(digits) = properties.expiration() else { return Ok(()) };
    expiration::check(digits).map_err(|text| front_end(ReplyCode::PreconditionFailed, text))
}

/// `CC` and `BCC` name further routing keys; they have to be arrays.
fn check_copies(properties: PropertiesView<'_>) -> Result<(), Refusal> {
    let Some(headers) = properties.headers() else { return Ok(()) };
    for (name, value) in headers.filter_map(Result::ok) {
        if (name == b"CC" || name == b"BCC") && value.letter() != b'A' {
            let type_name = value.decode().map_or("undefined", |value| value.type_name());
            let name = String::from_utf8_lossy(name);
            let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{type_name}}}");
            return Err(front_end(ReplyCode::PreconditionFailed, text));
        }
    }
    Ok(())
}

fn check_user(properties: PropertiesView<'_>, client: &Client) -> Result<(), Refusal> {
    let Some(claimed) = properties.user_id() else { return Ok(()) };
    if claimed == client.user.as_bytes() || client.may_impersonate {
        return Ok(());
    }
    let (claimed, user) = (String::from_utf8_lossy(claimed), &client.user);
    let text = format!("user_id property set to '{claimed}' but authenticated user was '{user}'");
    Err(front_end(ReplyCode::PreconditionFailed, text))
}
