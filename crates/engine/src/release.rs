//! Effects leave when what they rest on is durable and what they carry is at hand.

use broker::{Addressed, ConnectionId, Effect, Lsn, Recipient};

use mistakes::{Mistake, is_planted};

use crate::bodies::Found;
use crate::engine::{Engine, block_of};
use crate::link::Link;

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
        let parked = &self.parked;
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
            let is_parked = parked.is_full(*connection);
            link.starved = link.owed_bytes() > window / 2 || (overloaded && unsynced > 0) || is_parked;
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
        places.filter(|lsn| *lsn != Lsn::NONE).chain(self.reads.entries())
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
                self.want_reads();
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
