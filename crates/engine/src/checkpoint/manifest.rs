//! The manifest: which run holds the state at which position.

use std::fmt::Write as _;

use broker::{Lsn, Timestamp};
use journal::Cursor;

/// One checkpoint, named.
///
/// On disk it is a short text, one `key value` a line, the last one the CRC-32C of all lines above, so that it can
/// be read with any tool:
///
/// ```text
/// forebay-manifest 1
/// position 1234
/// cursor 0a1b2c
/// time_ms 1790000000000
/// boot 3
/// clean false
/// run_bytes 4096
/// crc32c 89abcdef
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The last entry that the run covers.
    pub(crate) position: Lsn,
    /// Where the journal goes on behind it.
    pub(crate) cursor: Cursor,
    /// When the state was taken.
    pub(crate) time: Timestamp,
    /// The boot that wrote it.
    pub(crate) boot: u64,
    /// The boot ended with it: nothing was journaled behind.
    pub(crate) clean: bool,
    /// Length of the run.
    pub(crate) run_bytes: u64,
}

const TITLE: &str = "forebay-manifest 1";

impl Manifest {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\nposition {}\ncursor ", self.position.0);
        for byte in self.cursor.as_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        let Self { time, boot, clean, run_bytes, .. } = self;
        let _ = write!(text, "\ntime_ms {}\nboot {boot}\nclean {clean}\nrun_bytes {run_bytes}\n", time.0);
        let checksum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "crc32c {checksum:08x}");
        text
    }

    /// Whether the text is a whole manifest of another version.
    pub(crate) fn is_of_another_version(text: &str) -> bool {
        checked(text).is_some_and(|above| above.lines().next() != Some(TITLE))
    }

    /// `None` if the text is not a whole manifest of this version.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut lines = checked(text)?.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned);
        Some(Self {
            position: Lsn(value("position")?.parse().ok()?),
            cursor: Cursor::from_bytes(&from_hex(&value("cursor")?)?).ok()?,
            time: Timestamp(value("time_ms")?.parse().ok()?),
            boot: value("boot")?.parse().ok()?,
            clean: value("clean")?.parse().ok()?,
            run_bytes: value("run_bytes")?.parse().ok()?,
        })
    }
}

/// The lines above the checksum, if that is right.
fn checked(text: &str) -> Option<&str> {
    let (above, checksum) = text.strip_suffix('\n')?.rsplit_once("\ncrc32c ")?;
    let found = crc32c::crc32c(format!("{above}\n").as_bytes());
    (u32::from_str_radix(checksum, 16).ok()? == found).then_some(above)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_a_changed_byte_is_noticed() {
        let manifest = Manifest {
            position: Lsn(77),
            cursor: Cursor::from_bytes(&[1, 2, 255]).unwrap(),
            time: Timestamp(5),
            boot: 3,
            clean: true,
            run_bytes: 9,
        };
        let text = manifest.to_text();
        assert_eq!(Manifest::from_text(&text), Some(manifest));
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 1;
            assert_eq!(
                String::from_utf8(damaged).ok().and_then(|text| Manifest::from_text(&text)),
                None,
                "at {at}"
            );
            assert_eq!(Manifest::from_text(&text[..at]), None, "cut at {at}");
        }
    }
}
