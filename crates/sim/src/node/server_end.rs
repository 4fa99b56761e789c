//! The server's end of a connection: what its socket task does, without the socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use amqp::{Login, Request, Status};
use broker::{Command, ConnectionId, Timestamp};
use bytes::BytesMut;
use engine::{Engine, Outlet, Released};
use field_table::ShortString;

use crate::checkers::Checkers;
use crate::line::{LineId, Pipe};
use crate::messages::Messages;

/// Output beyond this many bytes is not encoded before all of it was written.
const OUTPUT_BYTES_TARGET: usize = 32 * 1024;
/// With this much unwritten output a client is not read.
const UNWRITTEN_BYTES_MAX: usize = 128 * 1024;

/// Where the engine leaves effects.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<MailboxState>);

#[derive(Debug, Default)]
struct MailboxState {
    effects: VecDeque<Released>,
    has_news: bool,
}

impl Mailbox {
    /// Takes what has come, and whether anything has.
    pub fn take(&self) -> (VecDeque<Released>, bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.effects), std::mem::take(&mut state.has_news))
    }

    /// Whether there is something to take.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).has_news
    }
}

impl Outlet for Mailbox {
    fn push(&self, effects: &mut Vec<Released>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.effects.extend(effects.drain(..));
        state.has_news = true;
    }
}

/// One client, as the server sees it.
#[derive(Debug)]
pub struct ServerEnd {
    line: LineId,
    rules: amqp::Connection,
    mailbox: Arc<Mailbox>,
    effects: VecDeque<Released>,
    commands: Vec<Command>,
    input: BytesMut,
    output: Vec<u8>,
    is_attached: bool,
    has_credit: bool,
    encoded_bytes: u64,
    sent_bytes: u64,
    delivery_window_bytes: u64,
}

/// What a server's end needs of the world while it works.
pub struct Surroundings<'a> {
    /// The engine.
    pub engine: &'a mut Engine,
    /// The time that the core is told.
    pub now: Timestamp,
    /// Who watches.
    pub checkers: &'a mut Checkers,
    /// All messages.
    pub messages: &'a mut Messages,
}

impl ServerEnd {
    /// A connection that was just accepted.
    pub fn new(line: LineId, mut random: crate::random::Random, window_bytes: u64, now: Timestamp) -> Self {
        let settings = Arc::new(amqp::Settings::default());
        let draw = Box::new(move || random.draw());
        Self {
            line,
            rules: amqp::Connection::new(settings, ConnectionId(line.0), draw, now),
            mailbox: Arc::default(),
            effects: VecDeque::new(),
            commands: Vec::new(),
            input: BytesMut::new(),
            output: Vec::new(),
            is_attached: false,
            has_credit: true,
            encoded_bytes: 0,
            sent_bytes: 0,
            delivery_window_bytes: window_bytes,
        }
    }

    /// Whether the server reads from the client at the moment.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let is_heard = self.has_credit || self.rules.status() != Status::Running;
        is_heard && self.output.len() < UNWRITTEN_BYTES_MAX
    }

    /// Whether the engine has told it something that it has not looked at.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.mailbox.has_news() || (self.output.is_empty() && !self.effects.is_empty())
    }

    /// Whether it has output that the pipe did not take.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether it wants the connection closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rules.status() == Status::Close && self.output.is_empty()
    }

    /// When its rules want to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.rules.next_deadline()
    }

    /// Bytes of messages that the engine has let go and the client has not got, at the server's end.
    #[must_use]
    pub fn unsent_bytes(&self) -> u64 {
        let waiting = self.effects.iter().filter_map(|released| released.effect.message());
        waiting.map(|envelope| envelope.stored_bytes() as u64).sum::<u64>() + self.encoded_bytes
    }

    /// Takes bytes of the client.
    pub fn read(&mut self, around: &mut Surroundings<'_>, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            self.rules.receive(around.now, &mut self.input, &mut self.commands, &mut self.output);
            match self.rules.take_request() {
                Some(request) => self.answer(around, &request),
                None => break,
            }
        }
        self.submit(around);
    }

    /// Does what its time asks for.
    pub fn tick(&mut self, around: &mut Surroundings<'_>) {
        self.rules.tick(around.now, &mut self.commands, &mut self.output);
        self.submit(around);
    }

    /// The client is gone.
    pub fn lost(&mut self, around: &mut Surroundings<'_>) {
        self.rules.lost(&mut self.commands);
        self.submit(around);
    }

    /// Writes what there is, and encodes what comes next when all of it was taken.
    pub fn serve(&mut self, around: &mut Surroundings<'_>, pipe: &mut Pipe) {
        loop {
            let taken = pipe.write(&self.output);
            self.output.drain(..taken);
            if !self.output.is_empty() {
                return;
            }
            self.sent_bytes += std::mem::take(&mut self.encoded_bytes);
            if self.sent_bytes >= self.delivery_window_bytes / 4 {
                self.submit(around);
            }
            if self.effects.is_empty() {
                let (effects, _) = self.mailbox.take();
                self.effects = effects;
                self.look_for_credit(around);
            }
            if self.effects.is_empty() {
                return;
            }
            self.encode(around);
        }
    }

    fn encode(&mut self, around: &mut Surroundings<'_>) {
        while self.output.len() < OUTPUT_BYTES_TARGET {
            let Some(Released { channel, effect }) = self.effects.pop_front() else { break };
            around.checkers.said(self.line, channel, &effect, around.messages);
            self.rules.effect(around.now, channel, effect, &mut self.commands, &mut self.output);
        }
        self.encoded_bytes += self.rules.take_delivered_bytes();
        self.submit(around);
    }

    fn answer(&mut self, around: &mut Surroundings<'_>, request: &Request) {
        match request {
            Request::Authenticate { .. } => {
                self.rules.authenticated(around.now, Ok(Login::default()), &mut self.output);
            }
            Request::OpenVhost { user, .. } => {
                self.rules.vhost_opened(around.now, Ok(()), &mut self.output);
                let user = ShortString::from_text_cut(user);
                let outlet: Arc<Mailbox> = Arc::clone(&self.mailbox);
                around.engine.connect(around.now, ConnectionId(self.line.0), user, outlet);
                self.is_attached = true;
            }
        }
    }

    fn submit(&mut self, around: &mut Surroundings<'_>) {
        if !self.is_attached {
            self.commands.clear();
            return;
        }
        let bytes = std::mem::take(&mut self.sent_bytes);
        if bytes > 0 {
            self.commands.push(Command::Sent { connection: ConnectionId(self.line.0), bytes });
        }
        if self.commands.is_empty() {
            return;
        }
        for command in &self.commands {
            around.checkers.told(self.line, command, around.messages);
        }
        around.engine.submit(around.now, &mut self.commands);
        if let Some(helper) = around.engine.take_helper() {
            helper.help();
        }
        self.look_for_credit(around);
    }

    fn look_for_credit(&mut self, around: &mut Surroundings<'_>) {
        if !self.is_attached {
            return;
        }
        let has_credit = around.engine.publish_credit(ConnectionId(self.line.0));
        if std::mem::replace(&mut self.has_credit, has_credit) != has_credit {
            self.rules.set_reading(around.now, has_credit);
        }
    }
}
