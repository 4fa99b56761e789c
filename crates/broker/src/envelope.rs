//! A message as it travels: address, properties and body in one run of bytes.

use std::ops::Range;

use bytes::{BufMut, Bytes};

/// An immutable message: exchange, routing key, properties and body.
///
/// The four parts are ranges of one shared buffer, so that cloning costs one reference count. The
/// properties are opaque here: the front end's encoding, kept and handed back byte for byte.
///
/// Stored form (in journal entries and volatile blocks), integers big-endian:
///
/// ```text
/// u8 n | exchange (n bytes) | u8 n | routing key (n bytes) | u32 n | properties (n bytes) | body (the rest)
/// ```
#[derive(Clone, Debug)]
pub struct Envelope {
    bytes: Bytes,
    exchange: (u32, u8),
    routing_key: (u32, u8),
    properties: (u32, u32),
    body: (u32, u32),
}

/// The stored bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored envelope is cut short or its lengths do not add up")]
pub struct BrokenEnvelope;

impl Envelope {
    /// Bytes of the stored form besides exchange, routing key, properties and body.
    pub const OVERHEAD_BYTES: usize = 6;

    /// Copies the parts into a buffer of their own.
    ///
    /// # Panics
    /// When exchange or routing key exceed 255 bytes, or the whole 4 GiB: the front end checks before.
    #[must_use]
    pub fn new(exchange: &[u8], routing_key: &[u8], properties: &[u8], body: &[u8]) -> Self {
        let length =
            Self::OVERHEAD_BYTES + exchange.len() + routing_key.len() + properties.len() + body.len();
        let mut stored = Vec::with_capacity(length);
        write_stored(&mut stored, exchange, routing_key, properties, body);
        Self::from_stored(stored.into()).expect("just written")
    }

    /// An envelope over parts that already lie in one buffer, in whatever order. Copies nothing.
    ///
    /// # Panics
    /// When a range lies outside `bytes`, or a name is longer than 255 bytes.
    #[must_use]
    pub fn over(
        bytes: Bytes,
        exchange: Range<usize>,
        routing_key: Range<usize>,
        properties: Range<usize>,
        body: Range<usize>,
    ) -> Self {
        for range in [&exchange, &routing_key, &properties, &body] {
            assert!(range.start <= range.end && range.end <= bytes.len(), "envelope part outside its buffer");
        }
        Self {
            bytes,
            exchange: name(&exchange),
            routing_key: name(&routing_key),
            properties: part(&properties),
            body: part(&body),
        }
    }

    /// Reads the stored form; `stored` is exactly one envelope. Copies nothing.
    pub fn from_stored(stored: Bytes) -> Result<Self, BrokenEnvelope> {
        let byte = |at: usize| stored.get(at).copied().map(usize::from).ok_or(BrokenEnvelope);
        let exchange = 1..1 + byte(0)?;
        let key_start = exchange.end + 1;
        let routing_key = key_start..key_start + byte(exchange.end)?;
        let length_end = routing_key.end + 4;
        let length = stored.get(routing_key.end..length_end).ok_or(BrokenEnvelope)?;
        let length = u32::from_be_bytes(length.try_into().map_err(|_| BrokenEnvelope)?);
        let properties = length_end..length_end.checked_add(length as usize).ok_or(BrokenEnvelope)?;
        if properties.end > stored.len() || u32::try_from(stored.len()).is_err() {
            return Err(BrokenEnvelope);
        }
        let body = properties.end..stored.len();
        Ok(Self::over(stored, exchange, routing_key, properties, body))
    }

    /// Appends the stored form.
    pub fn write_stored(&self, out: &mut impl BufMut) {
        write_stored(out, self.exchange(), self.routing_key(), self.properties(), self.body());
    }

    /// The same message in a buffer of its own, so that it keeps no larger one alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::new(self.exchange(), self.routing_key(), self.properties(), self.body())
    }

    /// Bytes of the stored form.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.stored_header_bytes() + self.body.1 as usize
    }

    /// Bytes of the stored form in front of the body.
    #[must_use]
    pub fn stored_header_bytes(&self) -> usize {
        Self::OVERHEAD_BYTES
            + usize::from(self.exchange.1)
            + usize::from(self.routing_key.1)
            + self.properties.1 as usize
    }

    /// The exchange that the message was published to; empty for the default exchange.
    #[must_use]
    pub fn exchange(&self) -> &[u8] {
        &self.bytes[self.exchange.0 as usize..][..usize::from(self.exchange.1)]
    }

    /// The key that it was published with.
    #[must_use]
    pub fn routing_key(&self) -> &[u8] {
        &self.bytes[self.routing_key.0 as usize..][..usize::from(self.routing_key.1)]
    }

    /// The front end's encoded properties, verbatim.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        &self.bytes[self.properties.0 as usize..][..self.properties.1 as usize]
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body.0 as usize..][..self.body.1 as usize]
    }

    /// The body, sharing the envelope's buffer.
    #[must_use]
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.slice(self.body.0 as usize..(self.body.0 + self.body.1) as usize)
    }
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        self.exchange() == other.exchange()
            && self.routing_key() == other.routing_key()
            && self.properties() == other.properties()
            && self.body() == other.body()
    }
}

fn write_stored(out: &mut impl BufMut, exchange: &[u8], routing_key: &[u8], properties: &[u8], body: &[u8]) {
    let short = |name: &[u8]| u8::try_from(name.len()).expect("a name has at most 255 bytes");
    out.put_u8(short(exchange));
    out.put_slice(exchange);
    out.put_u8(short(routing_key));
    out.put_slice(routing_key);
    out.put_u32(u32::try_from(properties.len()).expect("properties are below 4 GiB"));
    out.put_slice(properties);
    out.put_slice(body);
}

fn name(range: &Range<usize>) -> (u32, u8) {
    let (start, length) = part(range);
    (start, u8::try_from(length).expect("a name has at most 255 bytes"))
}

fn part(range: &Range<usize>) -> (u32, u32) {
    let number = |at: usize| u32::try_from(at).expect("an envelope is below 4 GiB");
    (number(range.start), number(range.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_form_round_trips() {
        let envelope = Envelope::new(b"logs", b"a.b", b"\x80\x00props", b"body");
        let mut stored = Vec::new();
        envelope.write_stored(&mut stored);
        assert_eq!(stored.len(), envelope.stored_bytes());
        assert_eq!(Envelope::from_stored(stored.into()).unwrap(), envelope);
    }

    #[test]
    fn every_cut_inside_the_header_is_refused() {
        let envelope = Envelope::new(b"logs", b"a.b", b"props", b"");
        let mut stored = Vec::new();
        envelope.write_stored(&mut stored);
        for cut in 0..stored.len() {
            assert!(Envelope::from_stored(stored[..cut].to_vec().into()).is_err(), "cut at {cut}");
        }
    }
}
