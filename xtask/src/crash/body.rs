//! Bodies that say who sent them, and that nobody else could have made up.

/// Who published a message, and as which of its messages. Numbers count from 1 over all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MessageId {
    pub(super) publisher: u32,
    pub(super) number: u64,
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "message {} of publisher {}", self.number, self.publisher)
    }
}

const ID_BYTES: usize = 12;

/// Every so often a body takes several frames and reaches over the journal's usual batch.
const LARGE_EVERY: u64 = 211;
const LARGE_BYTES: usize = 150_000;

/// Appends the body of a message: its id and filler that follows from the id.
pub(super) fn write(id: MessageId, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&id.publisher.to_be_bytes());
    out.extend_from_slice(&id.number.to_be_bytes());
    let mut filler = fastrand::Rng::with_seed(id.number << 20 ^ u64::from(id.publisher));
    let length =
        if id.number.is_multiple_of(LARGE_EVERY) { LARGE_BYTES } else { filler.usize(ID_BYTES..1800) };
    out.resize(start + length, 0);
    filler.fill(&mut out[start + ID_BYTES..]);
}

/// The id of a body, if every byte of it is as [`write()`] makes it.
pub(super) fn read(body: &[u8], scratch: &mut Vec<u8>) -> Option<MessageId> {
    let (publisher, rest) = body.split_first_chunk()?;
    let (number, _) = rest.split_first_chunk()?;
    let id = MessageId { publisher: u32::from_be_bytes(*publisher), number: u64::from_be_bytes(*number) };
    scratch.clear();
    write(id, scratch);
    (scratch == body).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_is_seen() {
        let mut scratch = Vec::new();
        for number in [1, 2, 3, LARGE_EVERY] {
            let id = MessageId { publisher: 7, number };
            let mut body = Vec::new();
            write(id, &mut body);
            assert_eq!(read(&body, &mut scratch), Some(id));
            for at in [0, ID_BYTES / 2, body.len() / 2, body.len() - 1] {
                body[at] ^= 1;
                assert_eq!(read(&body, &mut scratch), None, "byte {at} of {}", body.len());
                body[at] ^= 1;
            }
            body.pop();
            assert_eq!(read(&body, &mut scratch), None);
        }
    }
}
