//! What a request remembers until its answer comes.

use amqp_wire::MethodId;
use broker::RequestTag;

/// Which method of which life of a channel asked, and whether it wants an answer.
///
/// The broker hands it back with the answer or the refusal, as a number: class in bits 0-15, method in bits 16-31,
/// silence in bit 32, the channel's generation above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestOrigin {
    /// The method that asked: a close has to name it.
    pub(crate) method: MethodId,
    /// No positive answer is wanted. A refusal is told all the same.
    pub(crate) is_silent: bool,
    /// The generation of the channel: its number may have been closed and opened again before the answer comes.
    pub(crate) generation: u32,
}

impl RequestOrigin {
    /// Generations count up to here and begin again.
    pub(crate) const GENERATION_MAX: u32 = (1 << 31) - 1;

    const SILENT: u64 = 1 << 32;

    /// As a number for the broker.
    pub(crate) fn tag(self) -> RequestTag {
        let Self { method, is_silent, generation } = self;
        debug_assert!(generation <= Self::GENERATION_MAX);
        let method = u64::from(method.class_id) | u64::from(method.method_id) << 16;
        RequestTag(method | if is_silent { Self::SILENT } else { 0 } | u64::from(generation) << 33)
    }
}

impl From<RequestTag> for RequestOrigin {
    fn from(RequestTag(tag): RequestTag) -> Self {
        let method = MethodId { class_id: tag as u16, method_id: (tag >> 16) as u16 };
        Self { method, is_silent: tag & Self::SILENT != 0, generation: (tag >> 33) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_leads_back_to_its_origin() {
        for generation in [0, 7, RequestOrigin::GENERATION_MAX] {
            for is_silent in [false, true] {
                let method = MethodId { class_id: 60, method_id: 40 };
                let origin = RequestOrigin { method, is_silent, generation };
                assert_eq!(RequestOrigin::from(origin.tag()), origin);
            }
        }
    }
}
