//! Messages that are not in memory are read back from the journal, and those that come behind them as well.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use broker::{ConnectionId, Lsn, SessionId, StoredMessage, Timestamp};

use journal::BodyError;

use crate::bodies::{Bodies, Found};
use crate::engine::Engine;

/// Reads of the journal that are under way.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    next_ticket: u64,
    under_way: BTreeMap<u64, Part>,
    under_way_bytes: u64,
    /// The line that asks first when memory is short, so that each has its turn.
    first_line: usize,
    /// Some line misses something and may not have asked.
    wanted: bool,
    /// Entries of which not all is left: their parts are read one by one.
    apart: BTreeSet<Lsn>,
    /// What one line is about to be handed; kept for its memory.
    upcoming: Vec<StoredMessage>,
}

/// A part of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    lsn: Lsn,
    range: Range<u32>,
    /// There are bytes in it that nobody wants.
    has_gaps: bool,
}

/// A line asks for so many parts at once, at most, and ahead for as many: messages that were confirmed one by one lie in an entry each.
const PARTS_MAX: usize = 256;

/// With more reads than this under way, nobody asks for more.
const READS_MAX: usize = 1024;

/// So many entries are remembered of which not all is left.
const APART_MAX: usize = 1024;

/// Wanted parts of one entry that lie closer together than this are read in one go.
const READ_GAP_BYTES_MAX: u32 = 64 * 1024;

/// Of what the cache holds of old entries, one line asks for so much at once: one in this many parts. With half of it on its way
/// at most, what has come is still there when it is looked for.
const WANTED_SHARE: u64 = 4;

/// Of what the cache holds of old entries, one line reads ahead so much: one in this many parts.
const AHEAD_SHARE: u64 = 16;

impl Engine {
    /// Takes what the journal has read.
    pub(crate) fn take_reads(&mut self, now: Timestamp) {
        if self.reads.under_way.is_empty() {
            return;
        }
        let mut done = Vec::new();
        if let Some(writer) = &mut self.writer {
            writer.completed_reads(&mut done);
        }
        for read in done {
            let Some(Part { lsn, range, has_gaps }) = self.reads.end(read.ticket) else { continue };
            match read.result {
                Ok(bytes) => self.bodies.entry_read(lsn, range.start, bytes),
                // A compaction has kept what lives of the entry, and nothing between.
                Err(BodyError::Trimmed { .. }) if has_gaps => self.reads.note_apart(lsn),
                Err(error) => self.read_failed(now, lsn, &range, &error),
            }
            // A line whose turn had not come may ask now.
            self.reads.wanted = true;
        }
    }

    /// A line misses a message.
    pub(crate) fn want_reads(&mut self) {
        self.reads.wanted = true;
    }

    /// Asks the journal for the messages that sessions wait for, and for what comes behind them. More than the cache can
    /// hold is not asked for.
    pub(crate) fn read_missing(&mut self) {
        if !std::mem::take(&mut self.reads.wanted) {
            return;
        }
        let first = self.reads.first_line;
        for at in 0..self.waiting.len() {
            let place = (first + at) % self.waiting.len();
            let is_much = self.reads.under_way_bytes > self.bodies.read_back.budget_bytes() / 2;
            if is_much || self.reads.under_way.len() > READS_MAX {
                self.reads.first_line = place;
                break;
            }
            let (connection, channel) = self.waiting[place];
            if self.ask_for(connection, channel)
                && let Some(channel) = channel
            {
                self.read_ahead(SessionId { connection, channel });
            }
        }
    }

    /// Asks for what the line misses, if what it has asked for before is there. False if it misses nothing.
    fn ask_for(&mut self, connection: ConnectionId, channel: Option<u16>) -> bool {
        let line = self.links.get_mut(&connection).and_then(|link| link.waiting.get_mut(&channel));
        let Some(line) = line.filter(|line| self.reads.are_done(line.asked_up_to)) else { return false };
        let ready = line.effects.iter().take_while(|addressed| addressed.after <= self.durable);
        let messages = ready.filter_map(|addressed| addressed.effect.message());
        let bytes_max = self.bodies.read_back.budget_bytes() / WANTED_SHARE;
        let apart = &self.reads.apart;
        let missing = missing(messages.copied(), &mut self.bodies, self.durable, bytes_max, apart);
        if missing.is_empty() {
            return false;
        }
        let Some(writer) = &mut self.writer else { return false };
        for part in missing {
            line.asked_up_to = line.asked_up_to.max(self.reads.ask(&mut **writer, part));
        }
        true
    }

    /// Asks for what the session will be handed next.
    fn read_ahead(&mut self, session: SessionId) {
        let budget_bytes = self.bodies.read_back.budget_bytes();
        let share_bytes = (budget_bytes / 2).saturating_sub(self.reads.under_way_bytes);
        let lines = self.waiting.len().max(1) as u64;
        let bytes = (budget_bytes / AHEAD_SHARE).min(share_bytes).min(budget_bytes / 2 / lines);
        let mut upcoming = std::mem::take(&mut self.reads.upcoming);
        self.broker.upcoming(session, bytes, &mut upcoming);
        let apart = &self.reads.apart;
        let missing = missing(upcoming.drain(..), &mut self.bodies, self.durable, bytes, apart);
        self.reads.upcoming = upcoming;
        let Some(writer) = &mut self.writer else { return };
        for part in missing {
            self.reads.ask(&mut **writer, part);
        }
    }
}

impl Part {
    fn covers(&self, other: &Self) -> bool {
        let (wider, range) = (&self.range, &other.range);
        self.lsn == other.lsn && wider.start <= range.start && range.end <= wider.end
    }
}

impl Reads {
    /// The entries that are being read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.under_way.values().map(|part| part.lsn)
    }

    /// None is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Asks for a part, if it is not on its way. The ticket by which it comes.
    fn ask(&mut self, writer: &mut dyn journal::Writer, part: Part) -> u64 {
        if let Some((ticket, _)) = self.under_way.iter().find(|(_, wider)| wider.covers(&part)) {
            return *ticket;
        }
        self.next_ticket += 1;
        let Range { start, end } = part.range;
        self.under_way_bytes += u64::from(end - start);
        writer.read(self.next_ticket, journal::Lsn(part.lsn.0), u64::from(start)..u64::from(end));
        self.under_way.insert(self.next_ticket, part);
        self.next_ticket
    }

    fn end(&mut self, ticket: u64) -> Option<Part> {
        let part = self.under_way.remove(&ticket)?;
        self.under_way_bytes -= u64::from(part.range.end - part.range.start);
        Some(part)
    }

    fn note_apart(&mut self, lsn: Lsn) {
        if self.apart.len() == APART_MAX {
            // It costs one more read to find out again.
            self.apart.clear();
        }
        self.apart.insert(lsn);
    }

    /// Whether nothing is under way that was asked for up to this ticket.
    fn are_done(&self, up_to: u64) -> bool {
        self.under_way.first_key_value().is_none_or(|(oldest, _)| *oldest > up_to)
    }
}

/// Where those messages lie that are not in memory: in the order in which they are wanted, up to so many bytes and the one that
/// goes beyond. A block that has just been spilled lies in an entry that cannot be read before it is durable.
fn missing(
    messages: impl Iterator<Item = StoredMessage>,
    bodies: &mut Bodies,
    durable: Lsn,
    bytes_max: u64,
    apart: &BTreeSet<Lsn>,
) -> Vec<Part> {
    let mut parts = Parts::default();
    for message in messages {
        if let Found::InJournal(lsn, range) = bodies.find(message)
            && lsn <= durable
        {
            let gap_bytes_max = if apart.contains(&lsn) { 0 } else { READ_GAP_BYTES_MAX };
            parts.add(lsn, range, gap_bytes_max);
            if parts.bytes > bytes_max || parts.parts.len() == PARTS_MAX {
                break;
            }
        }
    }
    parts.parts
}

/// Parts to be read, the first one first; what lies close together in one entry is one.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    bytes: u64,
}

impl Parts {
    /// Messages of a session may come in turn from so many places.
    const OPEN: usize = 8;

    /// Adds a part, to another one if no more than so many bytes that nobody wants lie between the two.
    fn add(&mut self, lsn: Lsn, range: Range<u32>, gap_bytes_max: u32) {
        let is_near = |part: &&mut Part| {
            part.lsn == lsn
                && range.start <= part.range.end.saturating_add(gap_bytes_max)
                && part.range.start <= range.end.saturating_add(gap_bytes_max)
        };
        match self.parts.iter_mut().rev().take(Self::OPEN).find(is_near) {
            Some(Part { range: part, has_gaps, .. }) => {
                let before = part.end - part.start;
                *has_gaps |= range.start > part.end || part.start > range.end;
                *part = part.start.min(range.start)..part.end.max(range.end);
                self.bytes += u64::from(part.end - part.start - before);
            }
            None => {
                self.bytes += u64::from(range.end - range.start);
                self.parts.push(Part { lsn, range, has_gaps: false });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(lsn: u64, range: Range<u32>, has_gaps: bool) -> Part {
        Part { lsn: Lsn(lsn), range, has_gaps }
    }

    #[test]
    fn reads_that_lie_close_together_become_one() {
        let mut parts = Parts::default();
        for (lsn, range) in [
            (2, 0..10),
            (1, 500_000..500_010),
            (1, 100..200),
            (1, 0..50),
            (2, 60_000..60_020),
            (1, 500_010..500_030),
        ] {
            parts.add(Lsn(lsn), range, READ_GAP_BYTES_MAX);
        }
        let expected = [part(2, 0..60_020, true), part(1, 500_000..500_030, false), part(1, 0..200, true)];
        assert_eq!(parts.parts, expected);
        assert_eq!(parts.bytes, 60_020 + 30 + 200);
    }

    #[test]
    fn of_an_entry_with_holes_only_what_touches_is_read_together() {
        let mut parts = Parts::default();
        [0..50, 60..70, 70..80].into_iter().for_each(|range| parts.add(Lsn(1), range, 0));
        assert_eq!(parts.parts, [part(1, 0..50, false), part(1, 60..80, false)]);
    }
}
