//! Incoming methods of the message path.

use std::ops::Range;

use crate::basic;
use crate::methods::{ArgumentError, ArgumentReader, MethodArguments, MethodError, MethodSpec};

/// The methods that a client sends once per message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HotMethod {
    /// `basic.publish`; content follows.
    Publish(PublishView),
    /// `basic.ack`.
    Ack(basic::Ack),
    /// `basic.nack`.
    Nack(basic::Nack),
    /// `basic.reject`.
    Reject(basic::Reject),
    /// Another method, for [`Method::decode`](crate::Method::decode).
    Other,
}

impl HotMethod {
    /// Reads the payload of a method frame if it is one of the message path. Never allocates.
    ///
    /// # Errors
    /// When the arguments of one of the four methods are cut off or followed by more bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, MethodError> {
        match payload {
            [0, 60, 0, 40, ..] => read(payload, &basic::Publish::SPEC, PublishView::read).map(Self::Publish),
            [0, 60, 0, 80, ..] => read(payload, &basic::Ack::SPEC, basic::Ack::read).map(Self::Ack),
            [0, 60, 0, 90, ..] => read(payload, &basic::Reject::SPEC, basic::Reject::read).map(Self::Reject),
            [0, 60, 0, 120, ..] => read(payload, &basic::Nack::SPEC, basic::Nack::read).map(Self::Nack),
            _ => Ok(Self::Other),
        }
    }
}

/// A `basic.publish` whose names stay in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishView {
    /// Where the exchange's name lies, counted from the payload's start.
    pub exchange: Range<usize>,
    /// Where the routing key lies, counted from the payload's start.
    pub routing_key: Range<usize>,
    /// Return the message if it meets no queue.
    pub mandatory: bool,
    /// Return the message if it meets no ready consumer.
    pub immediate: bool,
}

impl PublishView {
    /// The exchange's name, of the payload that this view was read from.
    pub fn exchange<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        &payload[self.exchange.clone()]
    }

    /// The routing key, of the payload that this view was read from.
    pub fn routing_key<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        &payload[self.routing_key.clone()]
    }

    fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError> {
        let payload_bytes = METHOD_ID_BYTES + input.bytes_left();
        let [_, _] = input.number()?;
        let exchange = short_string_range(input, payload_bytes)?;
        let routing_key = short_string_range(input, payload_bytes)?;
        Ok(Self { exchange, routing_key, mandatory: input.bit()?, immediate: input.bit()? })
    }
}

const METHOD_ID_BYTES: usize = 4;

fn short_string_range(
    input: &mut ArgumentReader<'_>,
    payload_bytes: usize,
) -> Result<Range<usize>, ArgumentError> {
    let length_bytes = input.short_string()?.len();
    let end = payload_bytes - input.bytes_left();
    Ok(end - length_bytes..end)
}

/// Reads the arguments behind the id to the last byte.
fn read<'a, T>(
    payload: &'a [u8],
    spec: &MethodSpec,
    read: impl FnOnce(&mut ArgumentReader<'a>) -> Result<T, ArgumentError>,
) -> Result<T, MethodError> {
    let mut reader = ArgumentReader::new(&payload[METHOD_ID_BYTES..]);
    read(&mut reader)
        .and_then(|method| reader.finish().map(|()| method))
        .map_err(|reason| MethodError::Malformed { id: spec.id, name: spec.name, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use field_table::ShortString;

    use crate::Method;

    fn payload(method: impl Into<Method>) -> Vec<u8> {
        let mut out = Vec::new();
        method.into().encode(&mut out);
        out
    }

    #[test]
    fn a_publish_is_seen_where_it_lies() {
        let payload = payload(basic::Publish {
            exchange: ShortString::from_static("events"),
            routing_key: ShortString::from_static("a.b"),
            mandatory: true,
            immediate: false,
        });
        let Ok(HotMethod::Publish(view)) = HotMethod::parse(&payload) else { panic!("not a publish") };
        assert_eq!(view.exchange(&payload), b"events");
        assert_eq!(view.routing_key(&payload), b"a.b");
        assert_eq!((view.mandatory, view.immediate), (true, false));
    }

    #[test]
    fn settling_methods_are_seen_and_others_left() {
        let ack = basic::Ack { delivery_tag: 7, multiple: true };
        assert_eq!(HotMethod::parse(&payload(ack.clone())), Ok(HotMethod::Ack(ack)));
        let nack = basic::Nack { delivery_tag: 7, multiple: false, requeue: true };
        assert_eq!(HotMethod::parse(&payload(nack.clone())), Ok(HotMethod::Nack(nack)));
        let reject = basic::Reject { delivery_tag: 7, requeue: false };
        assert_eq!(HotMethod::parse(&payload(reject.clone())), Ok(HotMethod::Reject(reject)));
        assert_eq!(HotMethod::parse(&payload(basic::QosOk {})), Ok(HotMethod::Other));
        assert_eq!(HotMethod::parse(&[0, 60]), Ok(HotMethod::Other));
    }

    #[test]
    fn errors_are_those_of_the_general_way() {
        let whole = payload(basic::Publish { exchange: ShortString::from_static("e"), ..Default::default() });
        for length in 4..whole.len() {
            let cut = &whole[..length];
            assert_eq!(
                HotMethod::parse(cut).unwrap_err(),
                Method::decode(cut).unwrap_err(),
                "{length} bytes"
            );
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(HotMethod::parse(&longer).unwrap_err(), Method::decode(&longer).unwrap_err());
    }
}
