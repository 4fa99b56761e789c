//! Effects leave when what they rest on is durable and what they carry is at hand.

use std::collections::BTreeMap;
use std::ops::Range;

use broker::{Addressed, ConnectionId, Effect, Lsn, Recipient};

use journal::BodyError;
use mistakes::{Mistake, is_planted};

use crate::bodies::Found;
use crate::engine::{Engine, block_of};
use crate::link::Link;

/// Reads of the journal that are under way.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    next_ticket: u64,
    under_way: BTreeMap<u64, Part>,
    under_way_bytes: u64,
    /// Counts the times at which no read was under way. A line asks once a round.
    round: u64,
    /// Entries of which not all is left, and in which round that was found out: their parts are read one by one.
    apart: BTreeMap<Lsn, u64>,
    /// The line that asks first when memory is short, so that each has its turn.
    first_line: usize,
    /// Some line misses something and may not have asked.
    wanted: bool,
}

/// A part of an entry that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    lsn: Lsn,
    range: Range<u32>,
    /// There are bytes in it that nobody wants.
    has_gaps: bool,
}

/// Wanted parts of one entry that lie closer together than this are read in one go.
const READ_GAP_BYTES_MAX: u32 = 64 * 1024;

impl Engine {
    /// Stages an effect if nothing of its session waits and it is free to go, else puts it in its session's line.
    pub(crate) fn route(&mut self, addressed: Addressed) {
        let (connection, channel) = recipient(&addressed);
        let Some(link) = self.links.get(&connection) else { return };
        let addressed = if link.waiting.contains_key(&channel) {
            addressed
        } else {
            let Some(held_up) = self.stage_if_free(connection, channel, addressed) else { return };
            self.waiting.push((connection, channel));
            held_up
        };
        if let Some(block) = block_of(&addressed) {
            self.bodies.blocks.retain(block, 1);
        }
        if let Some(link) = self.links.get_mut(&connection) {
            link.wait(channel, addressed);
        }
    }

    /// Lets go what waits for nothing any more, session by session.
    pub(crate) fn release_waiting(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|(connection, channel)| self.release_line(*connection, *channel));
        debug_assert!(self.waiting.is_empty());
        self.waiting = waiting;
    }

    /// Takes what the journal has read.
    pub(crate) fn take_reads(&mut self) {
        if self.reads.under_way.is_empty() {
            return;
        }
        let mut done = Vec::new();
        if let Some(writer) = &mut self.writer {
            writer.completed_reads(&mut done);
        }
        for read in done {
            let Some(part) = self.reads.under_way.remove(&read.ticket) else { continue };
            let Part { lsn, range, has_gaps } = part;
            self.reads.under_way_bytes -= u64::from(range.end - range.start);
            match read.result {
                Ok(bytes) => self.bodies.entry_read(lsn, range.start, bytes),
                // A compaction has kept what lives of the entry, and nothing between.
                Err(BodyError::Trimmed { .. }) if has_gaps => {
                    self.reads.apart.insert(lsn, self.reads.round);
                }
                Err(error) => self.fail_with(format!(
                    "a message body of entry {} can't be read back: {error}. Nothing more is confirmed; \
                     check the disk, then look with `forebay doctor DIR`",
                    lsn.0
                )),
            }
        }
        if self.reads.under_way.is_empty() {
            self.reads.round += 1;
            self.reads.wanted = true;
            let round = self.reads.round;
            self.reads.apart.retain(|_, found| round <= *found + 1);
        }
    }

    /// Asks the journal for the messages that sessions wait for. All that a session's line wants is asked for at once:
    /// its delivery window is the read-ahead. More than the cache can hold is not asked for.
    pub(crate) fn read_missing(&mut self) {
        if !std::mem::take(&mut self.reads.wanted) {
            return;
        }
        let mut wanted: Vec<(Lsn, Range<u32>)> = Vec::new();
        let mut bytes = self.reads.under_way_bytes;
        let first = self.reads.first_line;
        for at in 0..self.waiting.len() {
            let place = (first + at) % self.waiting.len();
            if bytes > self.bodies.read_back.budget_bytes() / 2 {
                self.reads.first_line = place;
                break;
            }
            let (connection, channel) = &self.waiting[place];
            let line = self.links.get_mut(connection).and_then(|link| link.waiting.get_mut(channel));
            let Some(line) = line.filter(|line| line.asked_in_round <= self.reads.round) else { continue };
            let ready = line.effects.iter().take_while(|addressed| addressed.after <= self.durable);
            for message in ready.filter_map(|addressed| addressed.effect.message()) {
                // A block that has just been spilled lies in an entry that cannot be read before it is durable.
                if let Found::InJournal(lsn, range) = self.bodies.find(*message)
                    && lsn <= self.durable
                {
                    line.asked_in_round = self.reads.round + 1;
                    bytes += u64::from(range.end - range.start);
                    wanted.push((lsn, range));
                }
            }
        }
        wanted.retain(|(lsn, range)| !self.reads.covers(*lsn, range));
        let Some(writer) = &mut self.writer else { return };
        for part in coalesce(wanted, &self.reads.apart) {
            let (lsn, start, end) = (journal::Lsn(part.lsn.0), part.range.start, part.range.end);
            writer.read(self.reads.begin(part), lsn, u64::from(start)..u64::from(end));
        }
    }

    pub(crate) fn push_staged(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for connection in touched.drain(..) {
            let Some(link) = self.links.get_mut(&connection) else { continue };
            let gone = link.staged.last().is_some_and(|last| last.effect == Effect::Disconnected);
            link.push_staged();
            if gone && let Some(link) = self.links.swap_remove(&connection) {
                self.broker.drop_held_back(link.waitlist.len() as u64);
                self.forget_waiting(&link);
            }
        }
        self.touched = touched;
    }

    /// Lets go of the blocks that the effects of a connection that is gone have waited for.
    fn forget_waiting(&mut self, link: &Link) {
        let effects = link.waiting.values().flat_map(|line| &line.effects);
        for block in effects.filter_map(block_of) {
            self.bodies.blocks.release(block);
        }
    }

    /// Tells connections that waited for it that the journal has caught up.
    pub(crate) fn return_credit(&mut self) {
        let overloaded = self.unsynced_bytes() > self.journal_window_bytes() / 2;
        let (durable, window, links) = (self.durable, self.settings.publish_window_bytes, &mut self.links);
        self.indebted.retain(|connection| {
            links.get_mut(connection).is_some_and(|link| {
                link.settle_up_to(durable);
                link.unsynced_bytes() > 0
            })
        });
        self.starved.retain(|connection| {
            let Some(link) = links.get_mut(connection) else { return false };
            // Half the window: a connection that is woken for every byte reads byte by byte.
            let unsynced = link.unsynced_bytes();
            link.starved = link.owed_bytes() > window / 2 || (overloaded && unsynced > 0);
            if !link.starved {
                link.outlet.push(&mut Vec::new());
            }
            link.starved
        });
    }

    /// The entries that effects on their way still need, or reads that are under way. They are not among the living
    /// messages any more if they were settled by their delivery; and a read goes on when its client is gone.
    pub(crate) fn entries_in_use(&self) -> impl Iterator<Item = Lsn> + '_ {
        let lines = self.links.values().flat_map(|link| link.waiting.values()).flat_map(|line| &line.effects);
        let places = lines.filter_map(|addressed| Some(addressed.effect.message()?.place.durable_at()));
        let reads = self.reads.under_way.values().map(|part| part.lsn);
        places.filter(|lsn| *lsn != Lsn::NONE).chain(reads)
    }

    /// False when nothing of the session waits any more.
    fn release_line(&mut self, connection: ConnectionId, channel: Option<u16>) -> bool {
        loop {
            let Some(link) = self.links.get_mut(&connection) else { return false };
            let Some(line) = link.waiting.get_mut(&channel) else { return false };
            let Some(addressed) = line.effects.pop_front() else {
                link.waiting.remove(&channel);
                return false;
            };
            let block = block_of(&addressed);
            if let Some(held_up) = self.stage_if_free(connection, channel, addressed) {
                let line = self.links.get_mut(&connection).and_then(|link| link.waiting.get_mut(&channel));
                line.expect("it was here a moment ago").effects.push_front(held_up);
                return true;
            }
            if let Some(block) = block {
                self.bodies.blocks.release(block);
            }
        }
    }

    /// Stages an effect, with the message in place of its name. Gives it back if it has to wait: for its position, or
    /// for a message that is not in memory.
    fn stage_if_free(
        &mut self,
        connection: ConnectionId,
        channel: Option<u16>,
        addressed: Addressed,
    ) -> Option<Addressed> {
        if waits_for(&addressed).max(self.began_at) > self.durable {
            return Some(addressed);
        }
        let envelope = match addressed.effect.message().map(|message| self.bodies.find(*message)) {
            None => None,
            Some(Found::Here(envelope)) => Some(envelope),
            Some(Found::InJournal(..)) => {
                self.reads.wanted = true;
                return Some(addressed);
            }
            Some(Found::Damaged(lsn)) => {
                self.fail_with(format!(
                    "entry {} of the journal is damaged: it holds no message where one was written. Nothing more is \
                     confirmed; check the disk, then look with `forebay doctor DIR`",
                    lsn.0
                ));
                return None;
            }
        };
        if let Some(link) = self.links.get_mut(&connection) {
            if link.staged.is_empty() {
                self.touched.push(connection);
            }
            link.stage(channel, addressed.effect.map_message(|_| envelope.expect("found above")));
        }
        None
    }
}

impl Reads {
    fn begin(&mut self, part: Part) -> u64 {
        self.next_ticket += 1;
        self.under_way_bytes += u64::from(part.range.end - part.range.start);
        self.under_way.insert(self.next_ticket, part);
        self.next_ticket
    }

    fn covers(&self, lsn: Lsn, range: &Range<u32>) -> bool {
        let inside = |wider: &Range<u32>| wider.start <= range.start && range.end <= wider.end;
        self.under_way.values().any(|part| part.lsn == lsn && inside(&part.range))
    }
}

/// The position that an effect waits for.
fn waits_for(addressed: &Addressed) -> Lsn {
    let is_early = match &addressed.effect {
        Effect::Confirmed { .. } => is_planted(Mistake::ConfirmBeforeSync),
        Effect::Deliver { .. } | Effect::Got { .. } => is_planted(Mistake::DeliveryBeforeSync),
        Effect::Refused { .. } => is_planted(Mistake::RefusalBeforeSync),
        _ => false,
    };
    if is_early { Lsn::NONE } else { addressed.after }
}

fn recipient(addressed: &Addressed) -> (ConnectionId, Option<u16>) {
    match addressed.to {
        Recipient::Session(session) => (session.connection, Some(session.channel)),
        Recipient::Connection(connection) => (connection, None),
    }
}

/// Joins what lies close together in one entry; in those that are read apart, only what touches.
fn coalesce(mut wanted: Vec<(Lsn, Range<u32>)>, apart: &BTreeMap<Lsn, u64>) -> Vec<Part> {
    wanted.sort_unstable_by_key(|(lsn, range)| (*lsn, range.start));
    let mut joined: Vec<Part> = Vec::new();
    for (lsn, range) in wanted {
        let gap_bytes_max = if apart.contains_key(&lsn) { 0 } else { READ_GAP_BYTES_MAX };
        match joined.last_mut() {
            Some(before)
                if before.lsn == lsn && range.start <= before.range.end.saturating_add(gap_bytes_max) =>
            {
                before.has_gaps |= range.start > before.range.end;
                before.range.end = before.range.end.max(range.end);
            }
            _ => joined.push(Part { lsn, range, has_gaps: false }),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(lsn: u64, range: Range<u32>, has_gaps: bool) -> Part {
        Part { lsn: Lsn(lsn), range, has_gaps }
    }

    #[test]
    fn reads_that_lie_close_together_become_one() {
        let wanted = vec![(Lsn(2), 0..10), (Lsn(1), 500_000..500_010), (Lsn(1), 100..200), (Lsn(1), 0..50)];
        let expected = [part(1, 0..200, true), part(1, 500_000..500_010, false), part(2, 0..10, false)];
        assert_eq!(coalesce(wanted, &BTreeMap::new()), expected);
    }

    #[test]
    fn of_an_entry_with_holes_only_what_touches_is_read_together() {
        let wanted =
            vec![(Lsn(1), 0..50), (Lsn(1), 60..70), (Lsn(1), 70..80), (Lsn(2), 0..5), (Lsn(2), 7..9)];
        let expected = [part(1, 0..50, false), part(1, 60..80, false), part(2, 0..9, true)];
        assert_eq!(coalesce(wanted, &BTreeMap::from([(Lsn(1), 0)])), expected);
    }
}
