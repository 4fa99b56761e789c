//! What will be handed out next, so that it can be read before anybody waits for it.

use crate::{Broker, SessionId, StoredMessage};

impl Broker {
    /// Adds the messages that the session's consumers will be handed next, in order, up to so many stored bytes in all. Others
    /// may be handed some of them first. Costs a few nanoseconds for each, and changes nothing.
    pub fn upcoming(&self, session: SessionId, bytes_max: u64, out: &mut Vec<StoredMessage>) {
        let connection = self.connections.get(&session.connection);
        let Some(session) = connection.and_then(|it| it.sessions.get(&session.channel)) else { return };
        let consumers = session.consumers.values().filter_map(|id| self.consumers.get(id));
        let share = bytes_max / session.consumers.len().max(1) as u64;
        for queue in consumers.filter_map(|consumer| self.queues.get(&consumer.queue)) {
            let mut bytes = 0;
            out.extend(queue.strand.upcoming().map(|slot| slot.stored()).take_while(|message| {
                bytes += u64::from(message.stored_bytes);
                bytes <= share
            }));
        }
    }
}
