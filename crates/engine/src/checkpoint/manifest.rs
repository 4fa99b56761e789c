//! The manifest: which runs are the state at which position.

use std::fmt::Write as _;

use broker::{Lsn, Timestamp};
use journal::Cursor;

use crate::run::Run;

/// One checkpoint, named.
///
/// On disk it is a short text, one `key value` a line, the last one the CRC-32C of all lines above, so that it can
/// be read with any tool:
///
/// ```text
/// forebay-manifest 3
/// position 1234
/// cursor 0a1b2c
/// time_ms 1790000000000
/// boot 3
/// clean false
/// run 18 4096 89abcdef        number, bytes and checksum; the newest first
/// run 12 1048576 01234567
/// crc32c 89abcdef
/// ```
///
/// Version 2 is the same, with runs of version 2. Version 1 had one run, `run-<position>`, or `last-<position>` where `clean`, and its `run_bytes` in place of the runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The last entry that it covers.
    pub(crate) position: Lsn,
    /// Where the journal goes on behind it.
    pub(crate) cursor: Cursor,
    /// When the state was taken.
    pub(crate) time: Timestamp,
    /// The boot that wrote it.
    pub(crate) boot: u64,
    /// The boot ended with it: nothing was journaled behind.
    pub(crate) clean: bool,
    /// Where the state is.
    pub(crate) state: StateFiles,
}

/// The files that hold a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StateFiles {
    /// Runs laid over one another, the newest first.
    Runs(Vec<RunName>),
    /// One run of version 1, with its length.
    Version1 {
        /// Its length.
        bytes: u64,
    },
}

/// What identifies a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunName {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) checksum: u32,
}

const TITLE: &str = "forebay-manifest 3";
const TITLE_2: &str = "forebay-manifest 2";
const TITLE_1: &str = "forebay-manifest 1";

impl Manifest {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\nposition {}\ncursor ", self.position.0);
        for byte in self.cursor.as_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        let Self { time, boot, clean, .. } = self;
        let _ = write!(text, "\ntime_ms {}\nboot {boot}\nclean {clean}\n", time.0);
        for RunName { number, bytes, checksum } in self.runs() {
            let _ = writeln!(text, "run {number} {bytes} {checksum:08x}");
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "crc32c {checksum:08x}");
        text
    }

    /// The runs, the newest first; none in version 1.
    pub(crate) fn runs(&self) -> &[RunName] {
        match &self.state {
            StateFiles::Runs(runs) => runs,
            StateFiles::Version1 { .. } => &[],
        }
    }

    /// Bytes of the state.
    pub(crate) fn state_bytes(&self) -> u64 {
        match &self.state {
            StateFiles::Runs(runs) => runs.iter().map(|run| run.bytes).sum(),
            StateFiles::Version1 { bytes } => *bytes,
        }
    }

    /// Whether the text is a whole manifest of another version.
    pub(crate) fn is_of_another_version(text: &str) -> bool {
        checked(text)
            .is_some_and(|above| ![Some(TITLE), Some(TITLE_2), Some(TITLE_1)].contains(&above.lines().next()))
    }

    /// `None` if the text is not a whole manifest of this version or one before.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut lines = checked(text)?.lines();
        let title = lines.next()?;
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned);
        let manifest = Self {
            position: Lsn(value("position")?.parse().ok()?),
            cursor: Cursor::from_bytes(&from_hex(&value("cursor")?)?).ok()?,
            time: Timestamp(value("time_ms")?.parse().ok()?),
            boot: value("boot")?.parse().ok()?,
            clean: value("clean")?.parse().ok()?,
            state: StateFiles::Runs(Vec::new()),
        };
        let state = match title {
            TITLE | TITLE_2 => StateFiles::Runs(lines.map(RunName::from_line).collect::<Option<_>>()?),
            TITLE_1 => StateFiles::Version1 { bytes: value("run_bytes")?.parse().ok()? },
            _ => return None,
        };
        Some(Self { state, ..manifest })
    }
}

impl RunName {
    pub(crate) fn of(run: &Run) -> Self {
        Self { number: run.number, bytes: run.bytes, checksum: run.checksum }
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("run ")?.split(' ');
        let name = Self {
            number: words.next()?.parse().ok()?,
            bytes: words.next()?.parse().ok()?,
            checksum: u32::from_str_radix(words.next()?, 16).ok()?,
        };
        words.next().is_none().then_some(name)
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

    fn manifest() -> Manifest {
        let run = |number| RunName { number, bytes: 4096 * number, checksum: 0xab };
        Manifest {
            position: Lsn(77),
            cursor: Cursor::from_bytes(&[1, 2, 255]).unwrap(),
            time: Timestamp(5),
            boot: 3,
            clean: true,
            state: StateFiles::Runs(vec![run(12), run(3)]),
        }
    }

    #[test]
    fn text_round_trips_and_a_changed_byte_is_noticed() {
        let text = manifest().to_text();
        assert_eq!(Manifest::from_text(&text), Some(manifest()));
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

    #[test]
    fn earlier_versions_are_read_and_a_later_one_is_told_apart() {
        let sealed = |above: &str| format!("{above}crc32c {:08x}\n", crc32c::crc32c(above.as_bytes()));
        let lines = "position 77\ncursor 0102ff\ntime_ms 5\nboot 3\nclean true\n";
        let first = sealed(&format!("{TITLE_1}\n{lines}run_bytes 9\n"));
        let expected = Manifest { state: StateFiles::Version1 { bytes: 9 }, ..manifest() };
        assert_eq!(Manifest::from_text(&first), Some(expected));
        assert!(!Manifest::is_of_another_version(&first));
        let second = manifest().to_text().replace(TITLE, TITLE_2);
        let second = sealed(&second[..=second.rfind("\ncrc32c").unwrap()]);
        assert_eq!(Manifest::from_text(&second), Some(manifest()));
        let later = sealed(&format!("forebay-manifest 4\n{lines}"));
        assert!(Manifest::is_of_another_version(&later) && Manifest::from_text(&later).is_none());
    }
}
