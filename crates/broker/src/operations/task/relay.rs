//! Replies go where producers want them, in the entry of the command that ended their tasks.

use crate::broker::Broker;
use crate::command::Publish;
use crate::output::Output;
use crate::reply_to::is_reply_address;
use crate::room::Room;
use crate::task::LeaseId;
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
            let is_taken = self.relay(now, &publish, out);
            self.counters.task_replies_dropped += u64::from(!is_taken);
        }
        while let Some(id) = self.to_tell.pop() {
            self.tell_watchers(id, out);
        }
    }

    /// Publishes a reply. Whether somebody takes it.
    fn relay(&mut self, now: Timestamp, publish: &Publish, out: &mut Output) -> bool {
        let address = publish.envelope.routing_key();
        if is_reply_address(address) {
            self.counters.published += 1;
            // It says that its task has ended, so not before that is durable.
            return self.reply(publish, out.position(), out);
        }
        let is_reached = match LeaseId::of_reply_address(address) {
            Some(lease) => self.task_held_by(lease).is_some(),
            None => self.queue_names.contains_key(address),
        };
        // The settlement that it comes from was taken, and the reply is part of that.
        let room = std::mem::replace(&mut self.room, Room::UNBOUNDED);
        let accepted = self.accept(now, NOBODY, publish, out);
        self.room = room;
        is_reached && accepted.is_ok_and(|accepted| accepted.refusal.is_none())
    }
}
