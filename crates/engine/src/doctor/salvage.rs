//! The state that can be had: the newest whole checkpoint, and every readable entry behind it.

use broker::{Broker, Conclusions, Home, Lsn, Record, StoredMessage};
use journal::Survey;

use super::DoctorError;
use super::findings::Losses;
use crate::checkpoint::Manifest;

/// A state, and what is missing in it.
pub(super) struct Salvage {
    pub(super) broker: Broker,
    /// The entry that the checkpoint covers; 0 without one.
    pub(super) from: Lsn,
    /// Entries that were applied, and their bytes.
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) losses: Losses,
}

/// Replays what is there. Entries that nobody was told of and that do not follow are left out, as a start does.
pub(super) fn salvage(
    survey: Option<&Survey>,
    checkpoint: Option<(&Manifest, Broker)>,
    conclusions: Conclusions,
) -> Result<Salvage, DoctorError> {
    let (from, broker) = match checkpoint {
        Some((manifest, broker)) => (manifest.position, broker),
        None => (Lsn::NONE, Broker::new(broker::Settings::default())),
    };
    let mut salvage =
        Salvage { broker, from, entries: 0, bytes: 0, losses: Losses { conclusions, ..Losses::default() } };
    let Some(survey) = survey else {
        salvage.find_lost(|_| true);
        return Ok(salvage);
    };
    let mut expected = from.next();
    for entry in survey.entries(journal::Lsn(from.0)) {
        let entry = entry?;
        let lsn = Lsn(entry.lsn.0);
        if lsn > expected {
            if expected.0 > survey.durable.0 {
                break;
            }
            salvage.hole(survey, expected, Lsn(lsn.0 - 1));
        }
        salvage.entries += 1;
        salvage.bytes += entry.bytes.len() as u64;
        for record in Record::read_entry(lsn, entry.bytes) {
            salvage.broker.apply_over_holes(record?, &mut salvage.losses.conclusions);
        }
        expected = lsn.next();
    }
    if expected.0 <= survey.durable.0 {
        salvage.hole(survey, expected, Lsn(survey.durable.0));
    }
    salvage.find_lost(|stored| match stored.place.home() {
        Home::Entry(lsn) => {
            let start = stored.place.offset;
            !survey.holds_part(journal::Lsn(lsn.0), start..start.saturating_add(stored.stored_bytes))
        }
        Home::Volatile(_) => false,
    });
    Ok(salvage)
}

/// What the journal still says of the state at this entry: with holes where it was trimmed.
pub(super) fn replay_up_to(survey: Option<&Survey>, position: Lsn) -> Result<Broker, DoctorError> {
    let (mut broker, mut conclusions) = (Broker::new(broker::Settings::default()), Conclusions::default());
    let mut expected = Lsn::NONE.next();
    for entry in survey.iter().flat_map(|survey| survey.entries(journal::Lsn(0))) {
        let entry = entry?;
        let lsn = Lsn(entry.lsn.0);
        if lsn > position {
            break;
        }
        if lsn > expected {
            conclusions.hole();
        }
        for record in Record::read_entry(lsn, entry.bytes) {
            broker.apply_over_holes(record?, &mut conclusions);
        }
        expected = lsn.next();
    }
    Ok(broker)
}

impl Salvage {
    fn hole(&mut self, survey: &Survey, first: Lsn, last: Lsn) {
        // Without a checkpoint and without its first segment, the journal is what trimming has left.
        let is_trimmed = survey.segments.first().is_some_and(|segment| segment.number > 1);
        if self.entries == 0 && self.from == Lsn::NONE && is_trimmed {
            self.losses.begins_at = Some(last.0 + 1);
        } else {
            self.losses.entries.push(first.0..=last.0);
        }
        self.losses.conclusions.hole();
    }

    fn find_lost(&mut self, is_gone: impl Fn(StoredMessage) -> bool) {
        self.losses.messages = self.broker.find_lost(is_gone);
    }
}
