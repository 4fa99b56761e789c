//! Messages that are not in memory are read back from the journal, and those that come behind them as well.

use std::collections::BTreeMap;
use std::ops::Range;

use broker::{ConnectionId, Lsn, SessionId, StoredMessage, Timestamp};

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
    /// What one line is about to be handed; kept for its memory.
    upcoming: Vec<StoredMessage>,
}

/// A part of an entry.
type Part = (Lsn, Range<u32>);

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
            let Some((lsn, range)) = self.reads.end(read.ticket) else { continue };
            match read.result {
                Ok(bytes) => self.bodies.entry_read(lsn, range.start, bytes),
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
            if self.reads.under_way_bytes > self.bodies.read_back.budget_bytes() / 2 {
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
        let missing = missing(messages.copied(), &mut self.bodies, self.durable, bytes_max);
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
        let missing = missing(upcoming.drain(..), &mut self.bodies, self.durable, bytes);
        self.reads.upcoming = upcoming;
        let Some(writer) = &mut self.writer else { return };
        for part in missing {
            self.reads.ask(&mut **writer, part);
        }
    }
}

impl Reads {
    /// The entries that are being read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.under_way.values().map(|(lsn, _)| *lsn)
    }

    /// None is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Asks for a part, if it is not on its way. The ticket by which it comes.
    fn ask(&mut self, writer: &mut dyn journal::Writer, (lsn, range): Part) -> u64 {
        let covers = |(of, wider): &Part| *of == lsn && wider.start <= range.start && range.end <= wider.end;
        if let Some((ticket, _)) = self.under_way.iter().find(|(_, part)| covers(part)) {
            return *ticket;
        }
        self.next_ticket += 1;
        self.under_way_bytes += u64::from(range.end - range.start);
        writer.read(self.next_ticket, journal::Lsn(lsn.0), u64::from(range.start)..u64::from(range.end));
        self.under_way.insert(self.next_ticket, (lsn, range));
        self.next_ticket
    }

    fn end(&mut self, ticket: u64) -> Option<Part> {
        let part = self.under_way.remove(&ticket)?;
        self.under_way_bytes -= u64::from(part.1.end - part.1.start);
        Some(part)
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
) -> Vec<Part> {
    let mut parts = Parts::default();
    for message in messages {
        if let Found::InJournal(lsn, range) = bodies.find(message)
            && lsn <= durable
        {
            parts.add(lsn, range);
            if parts.bytes > bytes_max {
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

    fn add(&mut self, lsn: Lsn, range: Range<u32>) {
        let is_near = |(of, part): &&mut Part| {
            *of == lsn
                && range.start <= part.end.saturating_add(READ_GAP_BYTES_MAX)
                && part.start <= range.end.saturating_add(READ_GAP_BYTES_MAX)
        };
        match self.parts.iter_mut().rev().take(Self::OPEN).find(is_near) {
            Some((_, part)) => {
                let before = part.end - part.start;
                *part = part.start.min(range.start)..part.end.max(range.end);
                self.bytes += u64::from(part.end - part.start - before);
            }
            None => {
                self.bytes += u64::from(range.end - range.start);
                self.parts.push((lsn, range));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_that_lie_close_together_become_one() {
        let mut parts = Parts::default();
        let wanted = [
            (2, 0..10),
            (1, 500_000..500_010),
            (1, 100..200),
            (1, 0..50),
            (2, 60_000..60_020),
            (1, 500_020..500_030),
        ];
        wanted.into_iter().for_each(|(lsn, range)| parts.add(Lsn(lsn), range));
        assert_eq!(parts.parts, [(Lsn(2), 0..60_020), (Lsn(1), 500_000..500_030), (Lsn(1), 0..200)]);
        assert_eq!(parts.bytes, 60_020 + 30 + 200);
    }
}
