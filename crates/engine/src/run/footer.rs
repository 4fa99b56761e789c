//! The end of a run, which tells where the rest is.

use bytes::{Buf, BufMut, Bytes};

use super::FRAME_BYTES;

/// What the last bytes of a run say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the filters begin, and their checksum; a run of version 2 has none.
    pub(super) filters: Option<(u64, u32)>,
    pub(super) index_at: u64,
    pub(super) rows: u64,
    /// How many of them are gone.
    pub(super) gone: u64,
    pub(super) index_checksum: u32,
    /// Of what is above, and so of the whole run.
    pub(super) checksum: u32,
}

impl Footer {
    /// Its bytes.
    pub(super) const BYTES: u64 = Self::BYTES_2 + 12;
    /// Those of one of version 2.
    pub(super) const BYTES_2: u64 = 32;

    /// A footer as it is written down, and its checksum. `filters` and `index` are offset and checksum.
    pub(super) fn encode(filters: (u64, u32), index: (u64, u32), rows: u64, gone: u64) -> (Vec<u8>, u32) {
        let mut out = Vec::with_capacity(Self::BYTES as usize);
        out.put_u64(filters.0);
        out.put_u64(index.0);
        out.put_u64(rows);
        out.put_u64(gone);
        out.put_u32(filters.1);
        out.put_u32(index.1);
        let checksum = crc32c::crc32c(&out);
        out.put_u32(checksum);
        (out, checksum)
    }

    /// Reads a footer; which version it is of, its length tells. `None` if it is not as it was written.
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        let has_filters = bytes.len() as u64 == Self::BYTES;
        let found = crc32c::crc32c(bytes.get(..bytes.len().checked_sub(4)?)?);
        let filters_at = if has_filters { Some(bytes.try_get_u64().ok()?) } else { None };
        let (index_at, rows) = (bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?);
        let gone = bytes.try_get_u64().ok()?;
        let filters = match filters_at {
            Some(offset) => Some((offset, bytes.try_get_u32().ok()?)),
            None => None,
        };
        let index_checksum = bytes.try_get_u32().ok()?;
        let checksum = bytes.try_get_u32().ok()?;
        let footer = Self { filters, index_at, rows, gone, index_checksum, checksum };
        (bytes.is_empty() && checksum == found).then_some(footer)
    }

    /// Whether what it names lies in front of it, in this order.
    pub(super) fn is_inside(&self, footer_at: u64) -> bool {
        let fits = |from: u64, to: u64| from.checked_add(FRAME_BYTES).is_some_and(|end| end <= to);
        fits(self.index_at, footer_at) && self.filters.is_none_or(|(offset, _)| fits(offset, self.index_at))
    }
}
