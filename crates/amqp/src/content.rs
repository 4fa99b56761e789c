//! Messages that do not arrive in one piece.

use amqp_wire::hot::PublishView;
use amqp_wire::{ContentHeader, MethodArguments, MethodId, ReplyCode, basic};
use bytes::Bytes;

use crate::Settings;
use crate::error::Failure;
use crate::publish::Parts;

const PUBLISH: MethodId = basic::Publish::SPEC.id;

/// Bytes of bodies that have arrived in part, over all channels of a connection.
///
/// Each body is bounded by `message_bytes_max`, but a connection has thousands of channels and could begin a body on
/// each. Together they may hold as much as two of the longest messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HalfRead {
    bytes: u64,
}

impl HalfRead {
    /// What a channel holds has changed.
    pub(crate) fn change(&mut self, before: u64, after: u64) {
        self.bytes = self.bytes + after - before;
    }

    /// Refuses to hold more than the limit.
    ///
    /// # Errors
    /// What ends the connection.
    pub(crate) fn check(self, settings: &Settings) -> Result<(), Failure> {
        let limit = settings.message_bytes_max.saturating_mul(2);
        if self.bytes <= limit {
            return Ok(());
        }
        let text = format!(
            "unfinished messages of all channels hold {} bytes, limit {limit}; finish some before others",
            self.bytes
        );
        Err(Failure::new(ReplyCode::ResourceError, text).of(PUBLISH))
    }
}

/// What a channel expects next.
#[derive(Debug, Default)]
pub(crate) enum Content {
    /// A method.
    #[default]
    None,
    /// The content header of this publish.
    Header(Box<Assembly>),
    /// More of the body of this publish.
    Body(Box<Assembly>),
}

impl Content {
    /// Bytes of a body that has arrived in part and is kept.
    pub(crate) fn half_read_bytes(&self) -> u64 {
        match self {
            Self::Body(assembly) if !assembly.is_too_large => {
                assembly.body_bytes - assembly.body_bytes_missing
            }
            _ => 0,
        }
    }
}

/// A publish that is being collected: names, properties and body one after the other in a buffer of its own.
///
/// The buffer grows with what has arrived, at most to twice that; an announced size is never reserved.
#[derive(Debug)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
    exchange_bytes: usize,
    routing_key_bytes: usize,
    properties_bytes: usize,
    mandatory: bool,
    immediate: bool,
    body_bytes: u64,
    body_bytes_missing: u64,
    is_too_large: bool,
}

/// A publish that has arrived wholly.
pub(crate) enum Assembled {
    /// Here it is.
    Message(Bytes, Parts),
    /// Its body was longer than what is taken, and was thrown away as it came.
    TooLarge {
        /// The announced length.
        body_bytes: u64,
    },
}

impl Assembly {
    /// Begins with the method: `view` lies in `payload`.
    pub(crate) fn new(view: &PublishView, payload: &[u8]) -> Self {
        let (exchange, routing_key) = (view.exchange(payload), view.routing_key(payload));
        Self {
            bytes: [exchange, routing_key].concat(),
            exchange_bytes: exchange.len(),
            routing_key_bytes: routing_key.len(),
            properties_bytes: 0,
            mandatory: view.mandatory,
            immediate: view.immediate,
            body_bytes: 0,
            body_bytes_missing: 0,
            is_too_large: false,
        }
    }

    /// Goes on with the content header.
    ///
    /// # Errors
    /// What ends the connection: a header of another class or with a weight, an announced body above all limits.
    pub(crate) fn header(&mut self, payload: &[u8], settings: &Settings) -> Result<(), Failure> {
        let header = checked_header(payload)?;
        let properties = header.properties.as_bytes();
        self.bytes.extend_from_slice(properties);
        self.properties_bytes = properties.len();
        self.body_bytes = header.body_bytes;
        self.body_bytes_missing = header.body_bytes;
        self.is_too_large = header.body_bytes > settings.message_bytes_max;
        Ok(())
    }

    /// Goes on with a part of the body.
    ///
    /// # Errors
    /// When it is more than what was announced.
    pub(crate) fn body(&mut self, part: &[u8]) -> Result<(), Failure> {
        let Some(missing) = self.body_bytes_missing.checked_sub(part.len() as u64) else {
            let text = "content body frame exceeds remaining content size";
            return Err(Failure::new(ReplyCode::FrameError, text).of(PUBLISH));
        };
        self.body_bytes_missing = missing;
        if !self.is_too_large {
            self.append(part);
        }
        Ok(())
    }

    /// Whether nothing is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.body_bytes_missing == 0
    }

    /// The result.
    pub(crate) fn finish(self) -> Assembled {
        if self.is_too_large {
            return Assembled::TooLarge { body_bytes: self.body_bytes };
        }
        let routing_key_end = self.exchange_bytes + self.routing_key_bytes;
        let properties_end = routing_key_end + self.properties_bytes;
        let parts = Parts {
            exchange: 0..self.exchange_bytes,
            routing_key: self.exchange_bytes..routing_key_end,
            properties: routing_key_end..properties_end,
            body: properties_end..self.bytes.len(),
            mandatory: self.mandatory,
            immediate: self.immediate,
        };
        Assembled::Message(self.bytes.into(), parts)
    }

    /// Doubles the buffer when it is full, but never beyond the end of the message.
    fn append(&mut self, part: &[u8]) {
        let needed = self.bytes.len() + part.len();
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.len() * 2;
            let at_most =
                needed.saturating_add(usize::try_from(self.body_bytes_missing).unwrap_or(usize::MAX));
            let capacity = doubled.clamp(needed, at_most);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(part);
    }
}

/// Reads the content header of a publish.
///
/// # Errors
/// As [`Assembly::header`].
pub(crate) fn checked_header(payload: &[u8]) -> Result<ContentHeader<'_>, Failure> {
    let header = ContentHeader::decode(payload)
        .map_err(|error| Failure::new(ReplyCode::FrameError, error).of(PUBLISH))?;
    if header.class_id != PUBLISH.class_id {
        let text = format!(
            "expected content header for class {}, got one for class {} instead",
            PUBLISH.class_id, header.class_id
        );
        return Err(Failure::new(ReplyCode::UnexpectedFrame, text).of(PUBLISH));
    }
    if header.weight != 0 {
        return Err(expected_header());
    }
    if header.body_bytes > Settings::MESSAGE_BYTES_TOP {
        let text = format!(
            "content body size {} exceeds maximum allowed size {}",
            header.body_bytes,
            Settings::MESSAGE_BYTES_TOP
        );
        return Err(Failure::new(ReplyCode::FrameError, text).of(PUBLISH));
    }
    Ok(header)
}

/// A frame of another kind came where a method was due.
pub(crate) fn expected_method() -> Failure {
    Failure::new(ReplyCode::UnexpectedFrame, "expected method frame, got non method frame instead")
}

/// A frame of another kind came where a content header was due.
pub(crate) fn expected_header() -> Failure {
    let text = "expected content header for class 60, got non content header frame instead";
    Failure::new(ReplyCode::UnexpectedFrame, text).of(PUBLISH)
}

/// A frame of another kind came where a part of a body was due.
pub(crate) fn expected_body() -> Failure {
    let text = "expected content body, got non content body frame instead";
    Failure::new(ReplyCode::UnexpectedFrame, text).of(PUBLISH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembly(body_bytes: u64) -> Assembly {
        let view = PublishView { exchange: 0..1, routing_key: 1..3, mandatory: true, immediate: false };
        let mut assembly = Assembly::new(&view, b"ekk");
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&body_bytes.to_be_bytes());
        header.extend_from_slice(&[0, 0]);
        assembly.header(&header, &Settings::default()).unwrap();
        assembly
    }

    #[test]
    fn an_announced_size_reserves_nothing() {
        let mut assembly = assembly(Settings::default().message_bytes_max);
        assert!(assembly.bytes.capacity() < 100);
        assembly.body(&[7; 1000]).unwrap();
        assert!(assembly.bytes.capacity() < 3000);
    }

    #[test]
    fn a_body_in_parts_is_one_in_the_end() {
        let mut assembly = assembly(2500);
        for part in [1000, 1000, 500] {
            assert!(!assembly.is_whole());
            assembly.body(&vec![7; part]).unwrap();
        }
        assert!(assembly.is_whole());
        let Assembled::Message(bytes, parts) = assembly.finish() else { panic!("not too large") };
        assert_eq!((&bytes[parts.exchange], &bytes[parts.routing_key]), (b"e".as_slice(), b"kk".as_slice()));
        assert_eq!((&bytes[parts.properties], &bytes[parts.body]), ([0, 0].as_slice(), [7; 2500].as_slice()));
    }

    #[test]
    fn a_body_over_the_limit_is_thrown_away_as_it_comes() {
        let body_bytes = Settings::default().message_bytes_max + 1;
        let mut assembly = assembly(body_bytes);
        assembly.body(&[7; 100_000]).unwrap();
        assert!(assembly.bytes.capacity() < 100);
        assert!(
            matches!(assembly.finish(), Assembled::TooLarge { body_bytes: found } if found == body_bytes)
        );
    }
}
