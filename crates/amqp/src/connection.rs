//! One client, from its first byte to its last.

use std::sync::Arc;

use amqp_wire::{
    Frame, FrameError, FrameKind, FrameScanner, Method, MethodArguments, ReplyCode, channel, connection, hot,
};
use broker::{Command, ConnectionId, Operation, Timestamp};
use bytes::{Bytes, BytesMut};

use crate::channel::{ChannelContext, Fate, method_id};
use crate::channels::Channels;
use crate::client::Client;
use crate::content::{self, HalfRead};
use crate::error::Failure;
use crate::handshake::Request;
use crate::heartbeat::Heartbeat;
use crate::names::Names;
use crate::negotiation::Limits;
use crate::phase::Phase;
use crate::settings::Settings;

/// How long a client that was not trusted yet is kept waiting, and how long a close may take that can't be answered.
const SILENT_CLOSE_MS: u64 = 3_000;

/// How long a close may take at most.
const CLOSE_MS_MAX: u64 = 30_000;

/// The AMQP side of one client's connection. See the crate's documentation for who calls what.
///
/// Whoever owns the socket: after [`Connection::receive`] ask [`Connection::take_request`]; after every call submit
/// `commands`, send `output`, look at [`Connection::status`], and set a timer for [`Connection::next_deadline`].
/// The one thing to be said from outside is the loss of the socket: [`Connection::lost`].
#[derive(Debug)]
pub struct Connection {
    pub(crate) settings: Arc<Settings>,
    id: ConnectionId,
    pub(crate) phase: Phase,
    handshake_until: Timestamp,
    pub(crate) limits: Limits,
    pub(crate) client: Client,
    pub(crate) request: Option<Request>,
    pub(crate) heartbeat: Heartbeat,
    /// What the last call left in the input: a part of a frame, or what waits for a request's answer.
    input_bytes_left: usize,
    names: Names,
    pub(crate) channels: Channels,
    pub(crate) half_read: HalfRead,
    pub(crate) delivered_bytes: u64,
    /// The broker knows the connection and was not told of its end.
    pub(crate) is_attached: bool,
}

/// What the owner of the socket should do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Go on; the client has not come through the handshake yet.
    Handshaking,
    /// Go on.
    Running,
    /// Go on; one side has said goodbye. What is read is mostly thrown away.
    Closing,
    /// Send what is left of the output and close.
    Close,
}

/// What one call may add to.
pub(crate) struct Turn<'a> {
    pub(crate) now: Timestamp,
    pub(crate) commands: &'a mut Vec<Command>,
    pub(crate) output: &'a mut Vec<u8>,
}

impl Connection {
    /// A connection that was just accepted. `random` makes names and reply addresses: it has to be as hard to guess
    /// as these have to be.
    pub fn new(
        settings: Arc<Settings>,
        id: ConnectionId,
        random: Box<dyn FnMut() -> u64 + Send>,
        now: Timestamp,
    ) -> Self {
        Self {
            handshake_until: after(now, settings.handshake_timeout_ms),
            settings,
            id,
            phase: Phase::Greeting,
            limits: Limits::BEFORE_TUNE,
            client: Client::default(),
            request: None,
            heartbeat: Heartbeat::new(now),
            input_bytes_left: 0,
            names: Names::new(random),
            channels: Channels::default(),
            half_read: HalfRead::default(),
            delivered_bytes: 0,
            is_attached: false,
        }
    }

    /// Takes what was read. Whole frames are consumed, an incomplete one stays at the front of `input`.
    ///
    /// Messages that arrive whole are slices of `input`'s buffer, without a copy. Stops early while a
    /// [`Request`] waits for its answer. Costs no allocation per message.
    pub fn receive(
        &mut self,
        now: Timestamp,
        input: &mut BytesMut,
        commands: &mut Vec<Command>,
        output: &mut Vec<u8>,
    ) {
        let output_start = output.len();
        // Being called is no sign of life: the shell also comes back with what was left over.
        if input.len() > self.input_bytes_left {
            self.heartbeat.heard(now);
        }
        let mut turn = Turn { now, commands, output };
        while self.advance(&mut turn, input) {}
        self.input_bytes_left = input.len();
        if turn.output.len() > output_start {
            self.heartbeat.sent(now);
        }
    }

    /// Does what the time asks for: heartbeats, and the end of what has taken too long.
    pub fn tick(&mut self, now: Timestamp, commands: &mut Vec<Command>, output: &mut Vec<u8>) {
        let is_over = match self.phase {
            Phase::Running => self.heartbeat.is_lost(now),
            Phase::Closing { until, .. } | Phase::Leaving { until } | Phase::Punished { until } => {
                until <= now
            }
            Phase::Ended => false,
            _ => self.handshake_until <= now,
        };
        if is_over {
            self.lost(commands);
        } else if self.phase == Phase::Running && self.heartbeat.is_due(now) {
            hot::heartbeat(output);
            self.heartbeat.sent(now);
        }
    }

    /// When [`Connection::tick`] wants to be called.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Running => self.heartbeat.next_deadline(),
            Phase::Closing { until, .. } | Phase::Leaving { until } | Phase::Punished { until } => {
                Some(until)
            }
            Phase::Ended => None,
            _ => Some(self.handshake_until),
        }
    }

    /// Closes from the server's side, with RabbitMQ's text for a shutdown. A client that has not come through the
    /// handshake is cut off.
    pub fn shutdown(&mut self, now: Timestamp, commands: &mut Vec<Command>, output: &mut Vec<u8>) {
        let text = "broker forced connection closure with reason 'shutdown'";
        self.close(now, ReplyCode::ConnectionForced, text, commands, output);
    }

    /// Closes from the server's side: the client reads `NAME - explanation`. A client that has not come through the
    /// handshake is cut off.
    pub fn close(
        &mut self,
        now: Timestamp,
        code: ReplyCode,
        explanation: &str,
        commands: &mut Vec<Command>,
        output: &mut Vec<u8>,
    ) {
        match self.phase {
            Phase::Running => {
                self.close_with(&mut Turn { now, commands, output }, Failure::new(code, explanation));
                self.heartbeat.sent(now);
            }
            phase if phase.is_handshake() => self.phase = Phase::Ended,
            _ => {}
        }
    }

    /// The socket is gone, or given up: the broker is told, unless it knows.
    pub fn lost(&mut self, commands: &mut Vec<Command>) {
        self.detach(true, commands);
        self.phase = Phase::Ended;
    }

    /// The shell has stopped reading from the client, or reads again. A client that is not read from is not given up
    /// for its silence.
    pub fn set_reading(&mut self, now: Timestamp, is_reading: bool) {
        self.heartbeat.set_listening(now, is_reading);
    }

    /// What to do with the socket.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Running => Status::Running,
            Phase::Closing { .. } | Phase::Leaving { .. } | Phase::Punished { .. } => Status::Closing,
            Phase::Ended => Status::Close,
            _ => Status::Handshaking,
        }
    }

    /// Bytes of messages that came by [`Connection::effect`] since this was last asked, for
    /// [`broker::Command::Sent`].
    pub fn take_delivered_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.delivered_bytes)
    }

    /// Who is at the other end.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Does one thing with `input`. Returns whether there may be more to do.
    fn advance(&mut self, turn: &mut Turn<'_>, input: &mut BytesMut) -> bool {
        match self.phase {
            Phase::Greeting => return self.greet(turn, input),
            Phase::Authenticating | Phase::OpeningVhost => return false,
            Phase::Leaving { .. }
            | Phase::Punished { .. }
            | Phase::Ended
            | Phase::Closing { is_deaf: true, .. } => {
                input.clear();
                return false;
            }
            Phase::Starting | Phase::Tuning | Phase::Opening | Phase::Running | Phase::Closing { .. } => {}
        }
        match self.whole_frames(input) {
            Ok(Some(chunk)) => self.frames(turn, &chunk),
            Ok(None) => return false,
            Err(error) => self.lose_track(turn, error),
        }
        true
    }

    /// Cuts the whole frames off `input`. One alone while each may change what the next one may be.
    fn whole_frames(&self, input: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let mut scanner = FrameScanner::new(input, self.limits.frame_max);
        loop {
            match scanner.next_frame() {
                Ok(Some(_)) if self.phase == Phase::Running => {}
                Ok(_) => break,
                Err(error) if scanner.consumed_bytes() == 0 => return Err(error),
                // First what came before it.
                Err(_) => break,
            }
        }
        let whole_bytes = scanner.consumed_bytes();
        Ok((whole_bytes > 0).then(|| input.split_to(whole_bytes).freeze()))
    }

    fn frames(&mut self, turn: &mut Turn<'_>, chunk: &Bytes) {
        let mut scanner = FrameScanner::new(chunk, 0);
        while let Ok(Some(frame)) = scanner.next_frame() {
            let result = match self.phase {
                Phase::Running if frame.channel != 0 => self.channel_frame(turn, chunk, &mut scanner, &frame),
                Phase::Starting | Phase::Tuning | Phase::Opening | Phase::Running => {
                    self.connection_frame(turn, &frame, scanner.payload(&frame))
                }
                Phase::Closing { .. } => {
                    self.frame_while_closing(turn, &frame, scanner.payload(&frame));
                    Ok(())
                }
                _ => Ok(()),
            };
            if let Err(failure) = result {
                self.fail(turn, failure);
            }
        }
    }

    /// What follows can't be told apart any more.
    fn lose_track(&mut self, turn: &mut Turn<'_>, error: FrameError) {
        if !matches!(self.phase, Phase::Closing { .. }) {
            self.fail(turn, error.into());
        }
        if matches!(self.phase, Phase::Closing { .. }) {
            self.phase = Phase::Closing { until: after(turn.now, SILENT_CLOSE_MS), is_deaf: true };
        }
    }

    /// A frame of the connection itself, and any frame before channels may be used.
    fn connection_frame(
        &mut self,
        turn: &mut Turn<'_>,
        frame: &Frame,
        payload: &[u8],
    ) -> Result<(), Failure> {
        check_shape(frame, payload)?;
        match frame.kind {
            FrameKind::Method if frame.channel == 0 => {
                let method = Method::decode(payload).map_err(|error| Failure::of_method(&error, payload))?;
                self.connection_method(turn, method)
            }
            FrameKind::Heartbeat if frame.channel == 0 => Ok(()),
            kind => Err(Failure::unexpected_frame(kind as u8, payload)),
        }
    }

    fn connection_method(&mut self, turn: &mut Turn<'_>, method: Method) -> Result<(), Failure> {
        let id = method.id();
        let Method::Connection(method) = method else { return Err(self.unexpected_method().of(id)) };
        match (method, self.phase) {
            (connection::Method::StartOk(method), Phase::Starting) => self.start_ok(&method),
            (connection::Method::TuneOk(method), Phase::Tuning) => self.tune_ok(turn.now, &method),
            (connection::Method::Open(method), Phase::Opening) => {
                self.open(method);
                Ok(())
            }
            (connection::Method::UpdateSecret(_), Phase::Running) => {
                // Passwords do not expire: there is nothing to renew.
                Method::from(connection::UpdateSecretOk {}).encode_frame(turn.output, 0);
                Ok(())
            }
            (connection::Method::Close(_), _) => {
                self.leave(turn);
                Ok(())
            }
            _ => Err(self.unexpected_method().of(id)),
        }
    }

    fn unexpected_method(&self) -> Failure {
        let text = format!("unexpected method in connection state {}", self.phase.name());
        Failure::new(ReplyCode::ChannelError, text)
    }

    fn channel_frame(
        &mut self,
        turn: &mut Turn<'_>,
        chunk: &Bytes,
        scanner: &mut FrameScanner<'_>,
        frame: &Frame,
    ) -> Result<(), Failure> {
        let payload = scanner.payload(frame);
        check_shape(frame, payload)?;
        if frame.kind == FrameKind::Heartbeat {
            return Err(Failure::unexpected_frame(frame.kind as u8, payload));
        }
        let Some(channel) = self.channels.get_mut(frame.channel) else {
            return self.frame_of_no_channel(turn, frame, payload);
        };
        let mut context = ChannelContext {
            turn,
            connection: self.id,
            names: &mut self.names,
            client: &self.client,
            settings: &self.settings,
            half_read: &mut self.half_read,
        };
        match channel.frame(&mut context, chunk, scanner, frame)? {
            Fate::Stays => {}
            Fate::Gone => self.channels.remove(frame.channel),
            Fate::Reopens => self.open_channel(turn, frame.channel),
        }
        Ok(())
    }

    /// A frame on a channel that is not open: it has to open it.
    fn frame_of_no_channel(
        &mut self,
        turn: &mut Turn<'_>,
        frame: &Frame,
        payload: &[u8],
    ) -> Result<(), Failure> {
        // The answer to a close of ours that has met the client's own and came second.
        if method_id(frame, payload) == Some(channel::CloseOk::SPEC.id) {
            return Ok(());
        }
        let (count, limit) = (self.channels.len(), self.limits.channel_max);
        if limit != 0 && count >= usize::from(limit) {
            let text = format!(
                "number of channels opened ({count}) has reached the negotiated channel_max ({limit})"
            );
            return Err(Failure::new(ReplyCode::NotAllowed, text));
        }
        if frame.kind != FrameKind::Method {
            return Err(content::expected_method());
        }
        match Method::decode(payload).map_err(|error| Failure::of_method(&error, payload))? {
            Method::Channel(channel::Method::Open(_)) => {
                self.open_channel(turn, frame.channel);
                Ok(())
            }
            method => Err(Failure::new(ReplyCode::ChannelError, "expected 'channel.open'").of(method.id())),
        }
    }

    fn open_channel(&mut self, turn: &mut Turn<'_>, number: u16) {
        let channel = self.channels.open(number);
        let mut context = ChannelContext {
            turn,
            connection: self.id,
            names: &mut self.names,
            client: &self.client,
            settings: &self.settings,
            half_read: &mut self.half_read,
        };
        channel.submit(&mut context, channel::Open::SPEC.id, false, Operation::OpenSession);
    }

    fn frame_while_closing(&mut self, turn: &mut Turn<'_>, frame: &Frame, payload: &[u8]) {
        if frame.channel != 0 {
            return;
        }
        match method_id(frame, payload) {
            Some(id) if id == connection::CloseOk::SPEC.id => self.phase = Phase::Ended,
            Some(id) if id == connection::Close::SPEC.id => {
                Method::from(connection::CloseOk {}).encode_frame(turn.output, 0);
            }
            _ => {}
        }
    }

    /// The client says goodbye. What it leaves behind goes before it is answered: a client that comes back at once
    /// must not find its exclusive queues.
    fn leave(&mut self, turn: &mut Turn<'_>) {
        if self.is_attached {
            self.detach(false, turn.commands);
            self.channels.clear();
            self.phase = Phase::Leaving { until: after(turn.now, CLOSE_MS_MAX) };
        } else {
            self.left(turn.now, turn.output);
        }
    }

    /// Answers the client's goodbye, and leaves it to the client to close the socket, as RabbitMQ does: some clients
    /// (lapin) take an end that comes with the answer for an error.
    pub(crate) fn left(&mut self, now: Timestamp, output: &mut Vec<u8>) {
        Method::from(connection::CloseOk {}).encode_frame(output, 0);
        self.phase = Phase::Closing { until: after(now, SILENT_CLOSE_MS), is_deaf: true };
    }

    /// Ends what has gone wrong: with a word to those who have come far enough to be trusted with it.
    fn fail(&mut self, turn: &mut Turn<'_>, failure: Failure) {
        match self.phase {
            Phase::Opening | Phase::Running => self.close_with(turn, failure),
            Phase::Tuning if failure.code == ReplyCode::NotAllowed => self.close_with(turn, failure),
            Phase::Starting | Phase::Tuning => self.punish(turn.now),
            _ => {}
        }
    }

    /// Closes, and tells the broker.
    pub(crate) fn close_with(&mut self, turn: &mut Turn<'_>, failure: Failure) {
        // A client that is sent away because the server stops has done nothing wrong: its work has not crashed.
        self.detach(failure.code != ReplyCode::ConnectionForced, turn.commands);
        self.send_close(turn.now, failure, turn.output);
    }

    /// Closes; the broker does not know the connection, or was told.
    pub(crate) fn send_close(&mut self, now: Timestamp, failure: Failure, output: &mut Vec<u8>) {
        failure.connection_close().encode_frame(output, 0);
        self.channels.clear();
        self.phase = Phase::Closing { until: after(now, self.close_ms()), is_deaf: false };
    }

    /// Says nothing for a while, then ends.
    pub(crate) fn punish(&mut self, now: Timestamp) {
        self.phase = Phase::Punished { until: after(now, SILENT_CLOSE_MS) };
    }

    fn close_ms(&self) -> u64 {
        match (self.phase.is_handshake(), self.limits.heartbeat_s) {
            (true, _) => SILENT_CLOSE_MS,
            (false, 0) => CLOSE_MS_MAX,
            (false, heartbeat_s) => CLOSE_MS_MAX.min(u64::from(heartbeat_s) * 1000),
        }
    }

    fn detach(&mut self, lost: bool, commands: &mut Vec<Command>) {
        if std::mem::take(&mut self.is_attached) {
            commands.push(Command::Disconnect { connection: self.id, lost });
        }
    }
}

/// Frames whose payload can't be of their type.
fn check_shape(frame: &Frame, payload: &[u8]) -> Result<(), Failure> {
    let is_fine = match frame.kind {
        FrameKind::Heartbeat => payload.is_empty(),
        FrameKind::Header => payload.len() >= HEADER_BYTES_MIN,
        FrameKind::Method | FrameKind::Body => true,
    };
    if is_fine { Ok(()) } else { Err(Failure::unknown_frame(frame.kind as u8, payload)) }
}

/// Class, weight, body size.
const HEADER_BYTES_MIN: usize = 12;

fn after(now: Timestamp, milliseconds: u64) -> Timestamp {
    Timestamp(now.0.saturating_add(milliseconds))
}
