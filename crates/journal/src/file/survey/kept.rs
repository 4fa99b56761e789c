//! Looking at compacted files.

use super::super::compacted::{self, Piece};
use super::super::folder::NamedFile;
use super::super::format::CompactedHeader;
use super::{CompactedFinding, Flaw, FlawKind, Survey};
use crate::{ClaimError, Lsn};

impl Survey {
    /// Reads all of a compacted file.
    pub(super) fn compacted_file(&mut self, number: u64) -> Result<(), ClaimError> {
        let file = self.folder.open_compacted(number)?;
        let mut finding = CompactedFinding {
            file: file.path.clone(),
            number,
            bytes: file.bytes()?,
            first: Lsn::ZERO,
            last: Lsn::ZERO,
            entries: 0,
            payload_bytes: 0,
            sources: Vec::new(),
            has_header: false,
            blocks_lost: Vec::new(),
            parts: Vec::new(),
        };
        let header = self.log_id.map(|log_id| compacted::read_header(&file, number, log_id));
        match header {
            None => self.flaw_of_compacted(&file, 0, "nothing tells which log it belongs to"),
            Some(Err(failure)) => self.flaw_of_compacted(&file, 0, &unreadable(&failure.error)),
            Some(Ok(Err(invalid))) => self.flaw_of_compacted(&file, 0, invalid),
            Some(Ok(Ok(header))) => self.pieces_of(&file, &header, &mut finding),
        }
        self.compacted.push(finding);
        Ok(())
    }

    fn pieces_of(&mut self, file: &NamedFile, header: &CompactedHeader, finding: &mut CompactedFinding) {
        // Without them a claim refuses the file, and a repair takes it away.
        match compacted::read_sources(file, header) {
            Ok(Ok(sources)) => (finding.sources, finding.has_header) = (sources, true),
            Ok(Err((offset, invalid))) => return self.flaw_of_compacted(file, offset, invalid),
            Err(failure) => return self.flaw_of_compacted(file, 0, &unreadable(&failure.error)),
        }
        for block in 0..header.index_blocks {
            let offset = compacted::block_at(header, block);
            let detail = match compacted::read_block(file, header, block) {
                Ok(Ok(pieces)) => {
                    pieces.iter().for_each(|piece| self.piece(file, piece, finding));
                    continue;
                }
                Ok(Err(invalid)) => invalid.to_owned(),
                Err(failure) => unreadable(&failure.error),
            };
            finding.blocks_lost.push(block);
            self.flaw_of_compacted(file, offset, &detail);
        }
    }

    fn piece(&mut self, file: &NamedFile, piece: &Piece, finding: &mut CompactedFinding) {
        let lsn = piece.lsn;
        let detail = match compacted::read_piece(file, piece) {
            Ok(Ok(_)) => {
                finding.note(piece);
                return;
            }
            Ok(Err(invalid)) => invalid.to_owned(),
            Err(failure) => unreadable(&failure.error),
        };
        let (file, offset) = (file.path.clone(), u64::from(piece.at));
        self.flaws.push(Flaw { kind: FlawKind::Entries, file, offset, entries: Some(lsn..=lsn), detail });
    }

    fn flaw_of_compacted(&mut self, file: &NamedFile, offset: u64, detail: &str) {
        self.note_version(&file.path, detail);
        let (file, detail) = (file.path.clone(), detail.to_owned());
        self.flaws.push(Flaw { kind: FlawKind::Compacted, file, offset, entries: None, detail });
    }
}

impl CompactedFinding {
    fn note(&mut self, piece: &Piece) {
        if self.entries == 0 {
            self.first = piece.lsn;
        }
        if self.entries == 0 || self.last != piece.lsn {
            self.entries += 1;
        }
        self.last = piece.lsn;
        self.payload_bytes += u64::from(piece.length);
        match self.parts.last_mut() {
            Some((lsn, range)) if *lsn == piece.lsn && range.end == piece.offset => range.end = piece.end(),
            _ => self.parts.push((piece.lsn, piece.offset..piece.end())),
        }
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("the disk cannot read it ({error})")
}
