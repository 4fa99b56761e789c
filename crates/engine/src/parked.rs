//! Commands that wait for state that is not in memory, and those of the same session behind them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use broker::{Command, ConnectionId, Operation, SessionId, Timestamp};

use crate::engine::Engine;

/// The commands that wait, by session, in order.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    sessions: BTreeMap<SessionId, VecDeque<Command>>,
}

/// A connection of which more commands wait gets no credit.
const COMMANDS_MAX: usize = 64;

/// Nor does one of which more bytes of publishes wait.
const BYTES_MAX: usize = 1 << 20;

impl Parked {
    /// The first of a session to wait; it was its turn.
    fn park(&mut self, command: Command) {
        if let Command::Session { session, .. } = &command {
            self.sessions.entry(*session).or_default().push_back(command);
        }
    }

    /// The commands of the same session that wait, if there are some: it comes behind them.
    fn before(&mut self, command: &Command) -> Option<&mut VecDeque<Command>> {
        match command {
            Command::Session { session, .. } if !self.sessions.is_empty() => self.sessions.get_mut(session),
            _ => None,
        }
    }

    /// Takes out what waits of a connection that ends, without what only its client would have seen.
    pub(crate) fn take_of(&mut self, connection: ConnectionId) -> Vec<Command> {
        let of: Vec<SessionId> =
            self.sessions.range(sessions_of(connection)).map(|(session, _)| *session).collect();
        let commands = of.iter().filter_map(|session| self.sessions.remove(session)).flatten();
        commands
            .filter(|command| !matches!(command, Command::Session { operation: Operation::Get { .. }, .. }))
            .collect()
    }

    /// Whether so much waits of a connection that it should not be read from.
    pub(crate) fn is_full(&self, connection: ConnectionId) -> bool {
        let of = self.sessions.range(sessions_of(connection)).flat_map(|(_, waiting)| waiting);
        let (mut count, mut bytes) = (0, 0);
        for command in of {
            count += 1;
            bytes += published_bytes(command);
        }
        count > COMMANDS_MAX || bytes > BYTES_MAX
    }
}

fn sessions_of(connection: ConnectionId) -> RangeInclusive<SessionId> {
    let session = |channel| SessionId { connection, channel };
    session(0)..=session(u16::MAX)
}

fn published_bytes(command: &Command) -> usize {
    match command {
        Command::Session { operation: Operation::Publish(publish), .. } => publish.envelope.body().len(),
        _ => 0,
    }
}

impl Engine {
    /// Hands a command to the core, unless it has to wait, or comes behind one that waits.
    pub(crate) fn handle_or_park(&mut self, now: Timestamp, command: Command) {
        match self.parked.before(&command) {
            Some(waiting) => waiting.push_back(command),
            None => self.handle(now, command),
        }
    }

    /// Tries again what waits, session by session.
    pub(crate) fn retry_parked(&mut self, now: Timestamp) {
        for (_, commands) in std::mem::take(&mut self.parked.sessions) {
            self.submit(now, &mut commands.into());
        }
    }

    fn handle(&mut self, now: Timestamp, command: Command) {
        if let broker::Handled::Cold(command) = self.broker.handle(now, command, &mut self.out) {
            self.parked.park(*command);
        }
    }
}
