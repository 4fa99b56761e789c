//! When the open entry goes to the journal.

use std::sync::Arc;

use broker::{Lsn, Timestamp};
use journal::Help;

use crate::engine::Engine;

/// Room that an open entry has from the start, beyond what it is closed at: about one read of a connection.
const ENTRY_SLACK_BYTES: usize = 256 * 1024;

impl Engine {
    /// Hands the open entry to the journal, if it is time.
    ///
    /// While the journal syncs one entry the next one fills: one sync serves all who wait. There is no timer in this,
    /// but for what nobody waits for.
    pub(crate) fn commit(&mut self, now: Timestamp) {
        let bytes = self.out.entry.bytes.len();
        if bytes == 0 || self.writer.is_none() || self.failed.is_some() {
            return;
        }
        let idle = self.appended == self.durable;
        let due = self.entry_wanted || self.flush_at.is_some_and(|at| at <= now);
        let full = bytes >= self.settings.entry_bytes_target;
        if full || (idle && due) {
            self.append();
        }
    }

    /// The journal's wish for a thread, if a lone caller's entry was appended since this was last asked: call
    /// [`journal::Help::help`] on the caller's thread, without the engine's lock.
    pub fn take_helper(&mut self) -> Option<Arc<dyn Help>> {
        self.helper.take()
    }

    /// Hands the open entry to the journal and opens the next.
    pub(crate) fn append(&mut self) {
        let lsn = self.out.entry.lsn;
        let entry = self.out.entry.bytes.split().freeze();
        let lone = self.lone.close_entry(entry.len());
        if let Some(writer) = &mut self.writer {
            let journal_lsn = journal::Lsn(lsn.0);
            if lone && self.submitting {
                self.helper = writer.append_lone(journal_lsn, entry.clone());
            } else {
                writer.append(journal_lsn, entry.clone());
            }
        }
        self.bodies.entry_appended(lsn, entry);
        self.appended = lsn;
        self.entry_wanted = false;
        self.flush_at = None;
        self.open_entry(lsn.next());
    }

    pub(crate) fn open_entry(&mut self, lsn: Lsn) {
        self.out.entry.lsn = lsn;
        let bytes = self.settings.entry_bytes_target + ENTRY_SLACK_BYTES;
        self.bodies.make_room(&mut self.out.entry.bytes, bytes);
    }

    /// Moves transient bodies to the journal's open entry until memory is within its budget.
    pub(crate) fn spill(&mut self) {
        // What is low is kept for acks; the core takes no more messages than memory has room for.
        while !self.room.is_low
            && self.bodies.must_spill()
            && let Some(spill) = self.bodies.blocks.oldest_resident()
        {
            let base = broker::write_spilled(&mut self.out.entry.bytes, spill.block, &spill.bytes);
            self.bodies.blocks.spilled(spill.block, self.out.entry.lsn, base);
        }
    }
}
