//! Compacted files, and what they have replaced.

use std::sync::Arc;

use super::super::compacted::Compacted;
use super::super::folder::{Failure, Folder, FolderItem};
use super::super::segments::Condemned;
use super::corrupt;
use crate::{ClaimError, Lsn, SegmentName};

/// The compacted files of a log, and what a crash has kept from being freed.
pub(super) struct Replaced {
    pub(super) compacted: Vec<Arc<Compacted>>,
    pub(super) superfluous: Vec<Condemned>,
}

/// Opens the compacted files. Each had its name only when all of it was synced, so a bad one is damage.
pub(super) fn look_for_compacted(folder: &Folder, log_id: u64) -> Result<Replaced, ClaimError> {
    let (mut compacted, mut there) = (Vec::new(), Vec::new());
    for item in folder.list()? {
        match item {
            FolderItem::Segment(number) => there.push(SegmentName::Written(number)),
            FolderItem::Compacted(number) => {
                there.push(SegmentName::Compacted(number));
                let file = folder.open_compacted(number)?;
                let opened = Compacted::open(&file, number, log_id)?;
                let opened =
                    opened.map_err(|(offset, detail)| corrupt(&file.path, offset, Lsn::ZERO, detail))?;
                compacted.push(opened);
            }
            _ => {}
        }
    }
    let is_replaced = |name: &SegmentName| compacted.iter().any(|by| by.sources.contains(name));
    let mut superfluous = Vec::new();
    for name in there.into_iter().filter(is_replaced) {
        let file = match name {
            SegmentName::Written(number) => folder.open_segment(number)?,
            SegmentName::Compacted(number) => folder.open_compacted(number)?,
        };
        superfluous.push(Condemned { name, bytes: file.bytes()? });
    }
    compacted.retain(|file| !superfluous.iter().any(|condemned| condemned.name == file.condemned().name));
    Ok(Replaced { compacted: compacted.into_iter().map(Arc::new).collect(), superfluous })
}

/// Removes what a crash has left unfinished.
pub(super) fn remove_drafts(folder: &Folder) -> Result<(), Failure> {
    for item in folder.list()? {
        if let FolderItem::Draft(number) = item {
            folder.remove_draft(number)?;
        }
    }
    Ok(())
}
