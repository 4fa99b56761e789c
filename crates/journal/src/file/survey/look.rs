//! The survey itself: segment by segment, entry by entry.

use std::collections::BTreeMap;

use super::super::folder::{Folder, FolderItem, NamedFile, SEGMENT_BYTES_MIN};
use super::super::format::{
    BLOCK_BYTES, ClaimRecord, HEADER_BYTES, NO_HEADER, SegmentHeader, UNKNOWN_VERSION,
};
use super::super::spares::Spare;
use super::super::walk::{EARLIER_USE, Found, SEGMENT_ENDS, SegmentWalk};
use super::stretches::{Stretch, Stretches};
use super::{ClaimFinding, Flaw, FlawKind, SegmentFinding, SpareFinding, Survey};
use crate::{ClaimError, Epoch, Lsn};

/// An open segment file and what its header says.
struct Opened {
    file: NamedFile,
    number: u64,
    bytes: u64,
    header: Result<SegmentHeader, String>,
}

/// Where the last entry that was read ends.
#[derive(Default)]
struct End {
    file: String,
    number: u64,
    offset: u64,
    lsn: Lsn,
    crc: u32,
    /// What lies behind it in its segment.
    detail: String,
}

pub(super) fn look(folder: Folder) -> Result<Survey, ClaimError> {
    let is_half_destroyed = folder.is_half_destroyed()?;
    let claim = read_claim(&folder)?;
    let (mut opened, mut spares, mut compacted) = (Vec::new(), Vec::new(), Vec::new());
    for item in folder.list()? {
        match item {
            FolderItem::Segment(number) => opened.push(open(&folder, number)?),
            FolderItem::Spare(number) | FolderItem::Reserve(number) => {
                let is_reserve = matches!(item, FolderItem::Reserve(_));
                let file = folder.open_spare(Spare { number, bytes: 0, is_reserve })?;
                spares.push(SpareFinding { bytes: file.bytes()?, file: file.path });
            }
            FolderItem::Compacted(number) => compacted.push(number),
            // A start removes it.
            FolderItem::Draft(_) => {}
        }
    }
    let (epoch, durable) = match &claim {
        ClaimFinding::Whole { epoch, durable, .. } => (*epoch, *durable),
        _ => (Epoch(0), Lsn::ZERO),
    };
    let mut survey = Survey {
        log_id: log_id(&claim, &opened),
        folder,
        claim,
        segments: Vec::new(),
        compacted: Vec::new(),
        spares,
        flaws: Vec::new(),
        durable,
        epoch,
        last: Lsn::ZERO,
        newer: None,
        is_half_destroyed,
        whole: Vec::new(),
        last_link: 0,
    };
    survey.judge_claim(&opened);
    for number in compacted {
        survey.compacted_file(number)?;
    }
    let mut end = End::default();
    let last_number = opened.last().map(|segment| segment.number);
    for segment in opened {
        let sealed = Some(segment.number) != last_number;
        survey.segment(segment, sealed, &mut end);
    }
    survey.judge_end(&end);
    (survey.last, survey.last_link) = (end.lsn, end.crc);
    Ok(survey)
}

fn read_claim(folder: &Folder) -> Result<ClaimFinding, ClaimError> {
    let bytes = match folder.read_claim() {
        Ok(None) => return Ok(ClaimFinding::Missing),
        Ok(Some(bytes)) => bytes,
        Err(failure) if failure.operation == "reading" => {
            return Ok(ClaimFinding::Damaged {
                detail: format!("the disk cannot read it ({})", failure.error),
            });
        }
        Err(failure) => return Err(failure.into()),
    };
    Ok(match ClaimRecord::decode(&bytes) {
        Ok(ClaimRecord { log_id, epoch, durable }) => ClaimFinding::Whole { log_id, epoch, durable },
        Err(detail) => ClaimFinding::Damaged { detail: detail.to_owned() },
    })
}

fn open(folder: &Folder, number: u64) -> Result<Opened, ClaimError> {
    let file = folder.open_segment(number)?;
    let bytes = file.bytes()?;
    let mut block = [0; HEADER_BYTES];
    let header = match bytes {
        ..SEGMENT_BYTES_MIN => Err("the segment is too short".to_owned()),
        _ => match file.read(&mut block, 0) {
            Ok(()) => SegmentHeader::decode(&block).map_err(str::to_owned),
            Err(failure) => Err(format!("the disk cannot read it ({})", failure.error)),
        },
    };
    Ok(Opened { file, number, bytes, header })
}

/// The id that most segments have; of several, the claim record's. Without a readable header, what the record says, or else
/// the entries themselves.
fn log_id(claim: &ClaimFinding, opened: &[Opened]) -> Option<u64> {
    let claimed = match claim {
        ClaimFinding::Whole { log_id, .. } => Some(*log_id),
        _ => None,
    };
    let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
    for header in opened.iter().filter_map(|segment| segment.header.as_ref().ok()) {
        *votes.entry(header.log_id).or_default() += 1;
    }
    let elected = votes.iter().max_by_key(|(id, count)| (**count, Some(**id) == claimed)).map(|(id, _)| *id);
    elected.or(claimed).or_else(|| opened.iter().find_map(id_in_entries))
}

fn id_in_entries(segment: &Opened) -> Option<u64> {
    let mut offsets = (BLOCK_BYTES..segment.bytes).step_by(BLOCK_BYTES as usize);
    offsets.find_map(|offset| SegmentWalk::log_id_at(&segment.file, offset))
}

impl Survey {
    fn judge_claim(&mut self, opened: &[Opened]) {
        let detail = match &self.claim {
            ClaimFinding::Damaged { detail } => detail.clone(),
            ClaimFinding::Missing if !opened.is_empty() => "the file is missing".to_owned(),
            ClaimFinding::Whole { log_id, .. } if Some(*log_id) != self.log_id => {
                "it belongs to another log than the segments".to_owned()
            }
            _ => return,
        };
        let file = self.folder.claim_path();
        self.note_version(&file, &detail);
        self.flaws.push(Flaw { kind: FlawKind::Claim, file, offset: 0, entries: None, detail });
    }

    fn segment(&mut self, segment: Opened, sealed: bool, end: &mut End) {
        let Opened { file, number, bytes, header } = segment;
        let header = self.check_header(header, &file.path, number, bytes);
        self.epoch = self.epoch.max(header.map_or(Epoch(0), |header| header.epoch));
        let mut finding = SegmentFinding {
            file: file.path.clone(),
            number,
            bytes,
            first: Lsn::ZERO,
            last: Lsn::ZERO,
            entries: 0,
            payload_bytes: 0,
            sealed,
            epoch: header.map(|header| header.epoch),
        };
        if let Some(log_id) = self.log_id {
            let walk = SegmentWalk::new(file, number, bytes, log_id);
            self.entries_of(&walk, &mut finding, end);
        }
        self.segments.push(finding);
    }

    fn check_header(
        &mut self,
        header: Result<SegmentHeader, String>,
        file: &str,
        number: u64,
        bytes: u64,
    ) -> Option<SegmentHeader> {
        let detail = match &header {
            Err(detail) => detail.clone(),
            Ok(header) if Some(header.log_id) != self.log_id || header.number != number => {
                "the segment belongs to another log or place".to_owned()
            }
            Ok(header) if header.bytes != bytes => {
                format!("the segment was made with {} bytes, and now has {bytes}", header.bytes)
            }
            Ok(header) => return Some(*header),
        };
        self.note_version(file, &detail);
        let file = file.to_owned();
        self.flaws.push(Flaw { kind: FlawKind::SegmentHeader, file, offset: 0, entries: None, detail });
        None
    }

    fn entries_of(&mut self, walk: &SegmentWalk, finding: &mut SegmentFinding, end: &mut End) {
        let mut hole: Option<(u64, String)> = None;
        for stretch in Stretches::new(walk) {
            let found = match stretch {
                Stretch::Entry(found) if found.header.lsn > end.lsn => found,
                Stretch::Entry(found) => {
                    hole.get_or_insert((found.offset, "another entry stands in its place".to_owned()));
                    continue;
                }
                Stretch::Hole { offset, detail } => {
                    self.note_version(&walk.file.path, &detail);
                    hole.get_or_insert((offset, detail));
                    continue;
                }
            };
            let lsn = found.header.lsn;
            self.note_missing(walk, lsn, hole.take(), end);
            self.durable = self.durable.max(found.header.durable);
            self.epoch = self.epoch.max(found.header.epoch);
            if self.check_entry(walk, &found, end) {
                self.note_whole(lsn);
                finding.entries += 1;
                finding.payload_bytes += u64::from(found.header.payload_bytes);
                if finding.first == Lsn::ZERO {
                    finding.first = lsn;
                }
                finding.last = lsn;
            }
            *end = End {
                file: walk.file.path.clone(),
                number: walk.number,
                offset: found.end(),
                lsn,
                crc: found.crc,
                detail: SEGMENT_ENDS.to_owned(),
            };
        }
        if let Some((offset, detail)) = hole {
            if end.number == walk.number {
                end.detail = detail;
            } else if !finding.sealed {
                // The whole of the last segment: that is where the next entry should be.
                let (file, number) = (walk.file.path.clone(), walk.number);
                *end = End { file, number, offset, detail, lsn: end.lsn, crc: end.crc };
            }
        }
    }

    pub(super) fn note_version(&mut self, file: &str, detail: &str) {
        if detail == UNKNOWN_VERSION {
            self.newer.get_or_insert_with(|| file.to_owned());
        }
    }

    /// Whether the payload is whole.
    fn check_entry(&mut self, walk: &SegmentWalk, found: &Found, end: &End) -> bool {
        let lsn = found.header.lsn;
        let (kind, detail) = match walk.payload_crc(found) {
            Ok(crc) if crc != found.header.payload_crc => {
                (FlawKind::Entries, "the checksum of the payload is wrong".to_owned())
            }
            Err(failure) => (FlawKind::Entries, format!("the disk cannot read it ({})", failure.error)),
            Ok(_) if end.lsn.next() == lsn && end.crc != found.header.link => {
                (FlawKind::Chain, "the entry does not follow the one before it".to_owned())
            }
            Ok(_) => return true,
        };
        let (file, offset) = (walk.file.path.clone(), found.offset);
        self.flaws.push(Flaw { kind, file, offset, entries: Some(lsn..=lsn), detail });
        kind == FlawKind::Chain
    }

    /// Notes the entries in front of `lsn` that should be there and are not.
    fn note_missing(&mut self, walk: &SegmentWalk, lsn: Lsn, hole: Option<(u64, String)>, end: &End) {
        let is_first = end.number != walk.number;
        let expected = match end.lsn {
            // The log may have begun earlier: as many as the hole has blocks, at most.
            Lsn::ZERO if walk.number > 1 => match &hole {
                Some(_) => Lsn(lsn.0.saturating_sub(holes_before(walk, lsn)).max(1)),
                None => return,
            },
            last => last.next(),
        };
        if expected >= lsn {
            return;
        }
        let (kind, file, offset, detail) = match hole {
            Some((offset, detail)) => (FlawKind::Entries, walk.file.path.clone(), offset, detail),
            // Behind the last entry of a segment usually lies nothing, or the rest of an earlier use.
            None if is_first
                && end.number > 0
                && (end.number + 1 == walk.number
                    || ![NO_HEADER, SEGMENT_ENDS, EARLIER_USE].contains(&end.detail.as_str())) =>
            {
                (FlawKind::Entries, end.file.clone(), end.offset, end.detail.clone())
            }
            None => {
                let file = self.folder.segment_path(if is_first { end.number + 1 } else { walk.number });
                (FlawKind::Gap, file, 0, "the segment is missing".to_owned())
            }
        };
        self.flaws.push(Flaw { kind, file, offset, entries: Some(expected..=lsn.previous()), detail });
    }

    /// Notes the entries behind the last that should be there and are not.
    fn judge_end(&mut self, end: &End) {
        if self.durable <= end.lsn {
            return;
        }
        let entries = Some(end.lsn.next()..=self.durable);
        let (kind, file, offset, detail) = match (end.number, self.segments.first()) {
            (0, None) => {
                (FlawKind::Gap, self.folder.segment_path(1), 0, "all segments are missing".to_owned())
            }
            (0, Some(first)) => {
                (FlawKind::Entries, first.file.clone(), BLOCK_BYTES, "no entry can be read".to_owned())
            }
            _ => (FlawKind::Entries, end.file.clone(), end.offset, end.detail.clone()),
        };
        self.flaws.push(Flaw { kind, file, offset, entries, detail });
    }
}

/// The blocks in front of the segment's first readable entry.
fn holes_before(walk: &SegmentWalk, lsn: Lsn) -> u64 {
    let first = Stretches::new(walk).find_map(|stretch| match stretch {
        Stretch::Entry(found) if found.header.lsn == lsn => Some(found.offset),
        _ => None,
    });
    first.map_or(0, |offset| (offset - BLOCK_BYTES) / BLOCK_BYTES)
}
