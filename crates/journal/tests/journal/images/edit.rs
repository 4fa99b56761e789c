//! What happens to the files of a log that nobody has claimed.

use super::image::{BLOCK, CLAIM, HEADER, Image};
use super::script::Written;
use crate::choices::Choices;

const SECTOR: usize = 512;

/// One change of an image.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Flip {
        file: String,
        at: usize,
        mask: u8,
    },
    /// Writes these bytes over a place.
    Overwrite {
        file: String,
        at: usize,
        with: Vec<u8>,
    },
    /// Copies a sector over another one of the file.
    CopySector {
        file: String,
        from: usize,
        to: usize,
    },
    SwapSectors {
        file: String,
        one: usize,
        other: usize,
    },
    Resize {
        file: String,
        bytes: usize,
    },
    Remove {
        file: String,
    },
    Rename {
        file: String,
        to: String,
    },
    Duplicate {
        file: String,
        to: String,
    },
    /// Changes a number in a header and puts the checksum right again.
    Forge {
        file: String,
        at: usize,
        field: usize,
        value: u64,
    },
}

impl Edit {
    /// Decodes an edit of one of the files that there are.
    pub(crate) fn decode(choices: &mut Choices<'_>, image: &Image, written: &Written) -> Edit {
        let kind = choices.byte() % 32;
        let file = pick_file(choices, image);
        let bytes = image.files.get(&file).map_or(0, Vec::len);
        let sector =
            |choices: &mut Choices<'_>| usize::from(choices.byte()) % (bytes / SECTOR).max(1) * SECTOR;
        match kind {
            0..=9 => Edit::Flip { at: place(choices, bytes), mask: 1 << (choices.byte() % 8), file },
            10..=12 => Edit::Overwrite { at: sector(choices), with: vec![0; SECTOR], file },
            13 => Edit::Overwrite { at: sector(choices), with: vec![choices.byte(); SECTOR], file },
            14..=15 => Edit::CopySector { from: sector(choices), to: sector(choices), file },
            16..=17 => Edit::SwapSectors { one: sector(choices), other: sector(choices), file },
            18 => Edit::Resize { bytes: sector(choices), file },
            19 => Edit::Resize { bytes: bytes + sector(choices) + usize::from(choices.byte()), file },
            20..=22 => Edit::Remove { file },
            23 => Edit::Rename { to: other_name(choices), file },
            24 => Edit::Duplicate { to: other_name(choices), file },
            25 => Edit::Overwrite { at: place(choices, bytes), with: choices.rest(600), file },
            26 => Edit::Overwrite { at: place(choices, bytes), with: payload_piece(choices, written), file },
            27..=28 => Edit::Forge {
                at: if file == CLAIM { 0 } else { usize::from(choices.byte() % 8) * BLOCK },
                field: 8 * usize::from(choices.byte() % 8),
                value: choices.one_of(&[u64::MAX, 0, 1, 2, u64::MAX - 1, 1 << 32, 7]),
                file,
            },
            _ => Edit::Flip { at: bytes.saturating_sub(1), mask: 0, file },
        }
    }

    pub(crate) fn is_forgery(&self) -> bool {
        matches!(self, Edit::Forge { .. })
    }

    pub(crate) fn apply(&self, image: &mut Image) {
        let files = &mut image.files;
        match self {
            Edit::Remove { file } => drop(files.remove(file)),
            Edit::Rename { file, to } => {
                let content = files.remove(file);
                content.into_iter().for_each(|content| drop(files.insert(to.clone(), content)));
            }
            Edit::Duplicate { file, to } => {
                let content = files.get(file).cloned();
                content.into_iter().for_each(|content| drop(files.insert(to.clone(), content)));
            }
            Edit::Flip { file, .. }
            | Edit::Overwrite { file, .. }
            | Edit::CopySector { file, .. }
            | Edit::SwapSectors { file, .. }
            | Edit::Resize { file, .. }
            | Edit::Forge { file, .. } => {
                files.get_mut(file).into_iter().for_each(|content| self.change(content))
            }
        }
    }

    fn change(&self, content: &mut Vec<u8>) {
        match self {
            Edit::Flip { at, mask, .. } => content.get_mut(*at).into_iter().for_each(|byte| *byte ^= mask),
            Edit::Overwrite { at, with, .. } => write(content, *at, with),
            Edit::CopySector { from, to, .. } => {
                let sector = read(content, *from);
                write(content, *to, &sector);
            }
            Edit::SwapSectors { one, other, .. } => {
                let (first, second) = (read(content, *one), read(content, *other));
                write(content, *one, &second);
                write(content, *other, &first);
            }
            Edit::Resize { bytes, .. } => content.resize(*bytes, 0),
            Edit::Forge { at, field, value, .. } if content.len() >= at + HEADER => {
                let header = &mut content[*at..at + HEADER];
                header[*field..field + 8].copy_from_slice(&value.to_le_bytes());
                let crc = crc32c::crc32c(&header[..60]);
                header[60..].copy_from_slice(&crc.to_le_bytes());
            }
            _ => {}
        }
    }
}

fn read(content: &[u8], at: usize) -> Vec<u8> {
    content[at.min(content.len())..content.len().min(at + SECTOR)].to_vec()
}

/// What lies beyond the end of the file is left out.
fn write(content: &mut [u8], at: usize, with: &[u8]) {
    let room = content.len().saturating_sub(at).min(with.len());
    if room > 0 {
        content[at..at + room].copy_from_slice(&with[..room]);
    }
}

/// Mostly a segment.
fn pick_file(choices: &mut Choices<'_>, image: &Image) -> String {
    let byte = choices.byte();
    let paths: Vec<&String> = match byte {
        224.. => image.files.keys().collect(),
        _ => image.segments().map(|(path, _)| path).collect(),
    };
    // From the last on: there the ends are.
    let found = paths.get(paths.len().wrapping_sub(1 + usize::from(byte) % paths.len().max(1)));
    found.map_or_else(|| CLAIM.to_owned(), |path| (*path).clone())
}

/// Mostly in a header or near it.
fn place(choices: &mut Choices<'_>, bytes: usize) -> usize {
    let block = usize::from(choices.byte()) % (bytes / BLOCK).max(1) * BLOCK;
    let inside = choices.byte();
    if inside < 200 { block + usize::from(inside) } else { block + usize::from(inside) * 73 % BLOCK }
}

fn other_name(choices: &mut Choices<'_>) -> String {
    let number = choices.byte() % 12;
    match choices.byte() % 4 {
        0 => format!("log/{number:016x}.spare"),
        1 => "log/CLAIM.new".to_owned(),
        2 => format!("log/{number:x}.seg"),
        _ => format!("log/{number:016x}.seg"),
    }
}

/// A piece of what was published once, which is no entry wherever it stands.
fn payload_piece(choices: &mut Choices<'_>, written: &Written) -> Vec<u8> {
    let byte = usize::from(choices.byte());
    let payload = written.payloads.get(byte % written.payloads.len().max(1));
    payload.map_or_else(Vec::new, |payload| payload[..payload.len().min(byte * 8)].to_vec())
}
