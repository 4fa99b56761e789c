//! The names of a task, of its deliveries and of the places where they are answered.

use std::fmt;
use std::str::FromStr;

use field_table::ShortString;
use uuid::Uuid;

use crate::Timestamp;

/// The id of a task: a UUID of version 7 (RFC 9562), so that ids sort by the time of their making.
///
/// Given once and never reused. In text: 36 lower-case characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId([u8; 16]);

/// Names one lease or delivery of a task: 128 random bits, so whoever knows it holds the task. It never goes into a log.
///
/// In text: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId([u8; 16]);

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenId {
    /// It is no task's id.
    #[error("a task id is a UUID, such as 01934c3a-7e2b-7c1d-9f00-5a2b3c4d5e6f")]
    Task,
    /// It is no lease's id.
    #[error("a lease id has 32 lower-case hexadecimal digits")]
    Lease,
}

impl TaskId {
    /// Nothing's.
    pub(crate) const NONE: Self = Self([0; 16]);

    /// An id of its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Makes an id of the time and of random bits.
    pub(crate) fn new(now: Timestamp, random: u128) -> Self {
        let bits: [u8; 16] = random.to_be_bytes();
        let (bits, _) = bits.split_first_chunk().expect("sixteen bytes begin with ten");
        Self(uuid::Builder::from_unix_timestamp_millis(now.0, bits).into_uuid().into_bytes())
    }

    /// The id that a producer chose, if it is one: the text of a UUID that is not nil.
    pub(crate) fn chosen(text: &[u8]) -> Option<Self> {
        let id: Self = std::str::from_utf8(text).ok()?.parse().ok()?;
        (id != Self::NONE).then_some(id)
    }
}

impl LeaseId {
    /// Nobody's.
    const NONE: Self = Self([0; 16]);
    const PREFIX: &'static str = "amq.task.reply.";

    /// The address whose messages are taken as the worker's answer.
    #[must_use]
    pub fn reply_address(self) -> ShortString {
        ShortString::try_from(format!("{}{self}", Self::PREFIX).as_str()).expect("47 bytes are short enough")
    }

    /// The lease whose reply address this is. `None` for other names; a name with the prefix and no lease behind it
    /// gives a lease that nobody has.
    #[must_use]
    pub fn of_reply_address(name: &[u8]) -> Option<Self> {
        let rest = name.strip_prefix(Self::PREFIX.as_bytes())?;
        Some(std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok()).unwrap_or(Self::NONE))
    }

    /// An id of its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = BrokenId;

    fn from_str(text: &str) -> Result<Self, BrokenId> {
        // The crate takes other notations too; an id has one.
        if text.len() != 36 {
            return Err(BrokenId::Task);
        }
        text.parse::<Uuid>().map(|id| Self(id.into_bytes())).map_err(|_| BrokenId::Task)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseId(..)")
    }
}

impl FromStr for LeaseId {
    type Err = BrokenId;

    fn from_str(text: &str) -> Result<Self, BrokenId> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex {
            return Err(BrokenId::Lease);
        }
        u128::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| BrokenId::Lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = TaskId::new(Timestamp(1_790_000_000_000), 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "7"));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(TaskId::chosen(text.as_bytes()), Some(id));
        assert!(TaskId::new(Timestamp(1), u128::MAX) < TaskId::new(Timestamp(2), 0));
        for wrong in
            ["", "order-991", "00000000-0000-0000-0000-000000000000", &text[1..], &text.replace('-', "")]
        {
            assert_eq!(TaskId::chosen(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_reply_address_names_its_lease_and_debugging_does_not() {
        let lease = LeaseId(0xabc_u128.to_be_bytes());
        let address = lease.reply_address();
        assert_eq!(LeaseId::of_reply_address(&address), Some(lease));
        assert_eq!(lease.to_string().parse(), Ok(lease));
        assert_eq!(LeaseId::of_reply_address(b"amq.task.reply."), Some(LeaseId::NONE));
        assert_eq!(LeaseId::of_reply_address(b"amq.task.reply.zz"), Some(LeaseId::NONE));
        assert_eq!(LeaseId::of_reply_address(b"amq.task"), None);
        assert_eq!(format!("{lease:?}"), "LeaseId(..)");
        assert!(
            "ABC".parse::<LeaseId>().is_err()
                && "+0000000000000000000000000000001".parse::<LeaseId>().is_err()
        );
    }
}
