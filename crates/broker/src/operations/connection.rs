//! Connections come, go, and take what was sent to them.

use field_table::ShortString;

use crate::broker::{Broker, Resume};
use crate::effect::{Effect, Recipient};
use crate::operations::task::Back;
use crate::output::Output;
use crate::session::Connection;
use crate::{ConnectionId, SessionId, Timestamp};

impl Broker {
    pub(crate) fn connect(&mut self, connection: ConnectionId, user: ShortString) {
        let before = self.connections.insert(connection, Connection { user, ..Connection::default() });
        debug_assert!(before.is_none(), "connection numbers are never reused");
        self.counters.connections_opened += 1;
    }

    pub(crate) fn disconnect(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        lost: bool,
        out: &mut Output,
    ) {
        let Some(state) = self.connections.get(&connection) else { return };
        let sessions: Vec<u16> = state.sessions.keys().copied().collect();
        let why = if lost { Back::Lost } else { Back::Released };
        self.forget_requests(connection);
        for channel in sessions {
            self.end_session(now, SessionId { connection, channel }, why, out);
        }
        let exclusive = self.connections.get(&connection).map(|state| state.exclusive_queues.clone());
        for queue in exclusive.unwrap_or_default() {
            self.remove_queue(now, queue, out);
        }
        self.connections.swap_remove(&connection);
        self.counters.connections_closed += 1;
        out.effect(Recipient::Connection(connection), out.position(), Effect::Disconnected);
    }

    /// The delivery window opens: consumers that waited for it go on, the longest waiting first.
    pub(crate) fn sent(&mut self, connection: ConnectionId, bytes: u64) {
        if let Some(state) = self.connections.get_mut(&connection) {
            state.unsent_bytes = state.unsent_bytes.saturating_sub(bytes);
            self.to_resume.push_back(Resume::Connection(connection));
        }
    }
}
