//! What a claim would find, without changing anything: the same scan, and none of what follows it.

use super::super::folder::Folder;
use super::super::survey::{Foresight, TornTail};
use super::{Scan, check_empty, corrupt, look_for_compacted, open_segments};
use crate::{ClaimError, Lsn};

/// What [`recover`](super::recover) would find, without changing anything.
pub(in crate::file) fn foresee(
    folder: &Folder,
    log_id: u64,
    from: Lsn,
    durable: Lsn,
) -> Result<Foresight, ClaimError> {
    let superfluous = look_for_compacted(folder, log_id)?.superfluous;
    let candidates = open_segments(folder, log_id, &superfluous)?;
    if candidates.is_empty() {
        check_empty(folder, from, durable)?;
        return Ok(Foresight { tail: Lsn::ZERO, torn: None });
    }
    let mut scan = Scan::start(&candidates, from, durable)?;
    let invalid = scan.run()?;
    scan.judge(invalid)?;
    let is_torn = !scan.torn()?.is_empty() || scan.index + 1 < candidates.len();
    let torn = is_torn.then(|| TornTail {
        file: scan.walk().file.path.clone(),
        offset: scan.offset,
        lsn: scan.expected,
        detail: invalid.to_owned(),
    });
    Ok(Foresight { tail: scan.tail(), torn })
}

/// The refusal of a log whose claim record cannot be read.
pub(in crate::file) fn damaged_claim(folder: &Folder, detail: &str) -> ClaimError {
    corrupt(&folder.claim_path(), 0, Lsn::ZERO, detail)
}

/// A claim record is there before the first segment is, so a log with segments has lost it.
pub(in crate::file) fn check_missing_claim(folder: &Folder) -> Result<(), ClaimError> {
    match folder.has_segments()? {
        true => Err(damaged_claim(folder, "it is missing, and there are segments")),
        false => Ok(()),
    }
}
