//! Replies go where producers want them, in the entry of the command that ended their tasks.

use crate::broker::Broker;
use crate::command::Publish;
use crate::output::Output;
use crate::{ConnectionId, Envelope, SessionId, Timestamp};

/// Replies come from nobody: what is said back to their publisher is lost.
const NOBODY: SessionId = SessionId { connection: ConnectionId(0), channel: 0 };

impl Broker {
    /// Publishes the replies of the tasks that the command has ended. One of them may answer another task, whose reply joins the
    /// line, so this is a loop and no recursion.
    pub(crate) fn relay_replies(&mut self, now: Timestamp, out: &mut Output) {
        while let Some(relay) = self.tasks.to_relay.pop_front() {
            let address = &relay.to.address;
            let envelope = Envelope::new(b"", address, &relay.properties, &relay.body);
            let publish = Publish { envelope, mandatory: false, persistent: true, headers: None };
            let accepted = self.accept(now, NOBODY, &publish, out);
            let is_lost = accepted.is_err() || !self.reaches_somebody(address);
            self.counters.task_replies_dropped += u64::from(is_lost);
        }
        while let Some(id) = self.to_tell.pop() {
            self.tell_watchers(id, out);
        }
    }

    fn reaches_somebody(&self, address: &[u8]) -> bool {
        self.queue_names.contains_key(address) || self.replies.contains_key(address)
    }
}
