//! One client: its socket, the rules that it is held to, and its place in the engine.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use amqp::{Login, LoginRefused, OpenRefusal, Request, Status};
use amqp_wire::ReplyCode;
use broker::{Command, ConnectionId, Timestamp};
use engine::Released;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::clock;
use crate::lifecycle::Phase;
use crate::mailbox::Mailbox;
use crate::node::Node;
use crate::randomness::random;
use crate::socket::{Read, Socket};
use crate::vhost::VirtualHost;

/// A client from accept to the end.
///
/// One task works on both directions. It never waits for a write while it could read, and no wait of one client
/// is a wait of another:
///
/// - bytes are read when the engine has credit for the client's publishes and the client takes its answers;
/// - a whole read becomes one batch of commands, and a batch takes the engine's lock once;
/// - effects are fetched when everything before them has been written, so that what a slow client leaves lying is
///   bounded by the engine's delivery window.
pub(crate) struct Connection<'node> {
    node: &'node Node,
    id: ConnectionId,
    peer: SocketAddr,
    socket: Socket,
    rules: amqp::Connection,
    vhost: Option<Arc<VirtualHost>>,
    mailbox: Arc<Mailbox>,
    /// Fetched from the mailbox, not encoded yet.
    effects: VecDeque<Released>,
    /// Understood, not submitted yet. Empty between two steps.
    commands: Vec<Command>,
    deliveries: DeliveryMeter,
    /// The engine takes this client's publishes at the moment.
    has_credit: bool,
    /// The last batch has held the thread up, by its size or by a sync: others on it come first now.
    held_thread: bool,
}

/// Bytes of deliveries on their way out.
#[derive(Debug, Default)]
struct DeliveryMeter {
    /// In the output buffer.
    encoded_bytes: u64,
    /// Written to the socket, and the engine does not know it yet.
    sent_bytes: u64,
}

/// What a connection waited for.
enum Event {
    Socket,
    News,
    Deadline,
    Ended(Phase),
}

/// Output beyond this many bytes is not encoded before all of it has been written.
const OUTPUT_BYTES_TARGET: usize = 256 * 1024;

/// With this much unwritten output, in bytes, a client is not read any more: it asks and does not listen.
/// Deliveries alone never get here, see [`OUTPUT_BYTES_TARGET`].
const UNWRITTEN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// With this many effects waiting, a client that takes nothing is not read any more. More than the engine's
/// delivery window can hold, so that a consumer who is slow to read is still heard.
const EFFECTS_MAX: usize = 65_536;

/// Of commands and effects, room for this many is kept by a client that has been silent for a while.
const KEPT_ITEMS_MAX: usize = 16;

impl<'node> Connection<'node> {
    /// Serves a client to its end. Every exit leaves the engine without a trace of it.
    pub(crate) async fn serve(node: &'node Node, stream: TcpStream, peer: SocketAddr) {
        node.statistics.connections_opened.add(1);
        let id = node.next_connection();
        let mut connection = Self {
            node,
            id,
            peer,
            socket: Socket::new(stream),
            rules: amqp::Connection::new(Arc::clone(&node.amqp), id, Box::new(random), clock::now()),
            vhost: None,
            mailbox: Arc::default(),
            effects: VecDeque::new(),
            commands: Vec::new(),
            deliveries: DeliveryMeter::default(),
            has_credit: true,
            held_thread: false,
        };
        tracing::debug!(connection = %id, %peer, "client connected");
        let outcome = connection.run().await;
        // Before the rules are told of the loss: how far the goodbye had come decides what is worth a warning.
        connection.log_end(&outcome);
        connection.leave();
        if outcome.is_ok() {
            connection.socket.linger(node).await;
        }
    }

    /// Runs until the rules say that the socket is to be closed (`Ok`), or the socket is lost.
    async fn run(&mut self) -> io::Result<()> {
        let node = self.node;
        let mut ended = pin!(node.lifecycle.ended());
        let mut has_heard_of_end = false;
        let mut alarm = pin!(tokio::time::sleep_until(Instant::now().into()));
        loop {
            self.encode_effects();
            self.socket.write(node)?;
            self.count_sent();
            if self.rules.status() == Status::Close {
                return self.socket.flush(node).await;
            }
            let is_written = self.socket.unwritten_bytes() == 0;
            if is_written && !self.effects.is_empty() {
                tokio::task::consume_budget().await;
                continue;
            }
            self.socket.rest(node);
            if std::mem::take(&mut self.held_thread) {
                // What this client's sync released for others is on this thread's list, and a client that always
                // has more to say would keep the thread to itself for a hundred reads.
                tokio::task::yield_now().await;
            }
            let deadline = self.rules.next_deadline();
            set_alarm(alarm.as_mut(), deadline);
            let event = tokio::select! {
                biased;
                phase = &mut ended, if !has_heard_of_end => Event::Ended(phase),
                () = self.socket.ready(self.wants_input(), !is_written) => Event::Socket,
                () = poll_fn(|context| self.mailbox.poll_news(context)), if is_written => Event::News,
                () = &mut alarm, if deadline.is_some() => Event::Deadline,
            };
            match event {
                Event::Socket => self.read()?,
                Event::News => self.look_for_credit(),
                Event::Deadline => self.tick(),
                Event::Ended(phase) => {
                    has_heard_of_end = true;
                    // What has arrived by now, acks above all, is still taken.
                    self.read()?;
                    self.say_goodbye(&phase);
                }
            }
        }
    }

    fn wants_input(&self) -> bool {
        let listens = match self.socket.unwritten_bytes() {
            0 => true,
            unwritten => {
                unwritten < UNWRITTEN_BYTES_MAX && self.effects.len() + self.mailbox.len() < EFFECTS_MAX
            }
        };
        // What comes after the goodbye is thrown away by the rules, but for its answer.
        listens && (self.has_credit || self.rules.status() != Status::Running)
    }

    fn read(&mut self) -> io::Result<()> {
        if !self.wants_input() {
            return Ok(());
        }
        match self.socket.read(self.node)? {
            Read::Some => {
                self.held_thread |= self.socket.is_flooded();
                self.understand();
            }
            Read::Nothing => {}
            Read::End => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    /// Turns what was read into commands and submits them, all in one batch.
    fn understand(&mut self) {
        loop {
            let (input, output) = self.socket.buffers(self.node);
            self.rules.receive(clock::now(), input, &mut self.commands, output);
            match self.rules.take_request() {
                Some(request) => self.answer(request),
                None => break,
            }
        }
        self.submit();
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Authenticate { mechanism, user, password } => {
                let result = self.authenticate(mechanism, &user, &password);
                let (_, output) = self.socket.buffers(self.node);
                self.rules.authenticated(clock::now(), result, output);
            }
            Request::OpenVhost { user, vhost } => {
                let result = self.open_vhost(&user, &vhost);
                let (_, output) = self.socket.buffers(self.node);
                self.rules.vhost_opened(clock::now(), result, output);
            }
        }
    }

    fn authenticate(&self, mechanism: &str, user: &str, password: &[u8]) -> Result<Login, LoginRefused> {
        self.node.statistics.logins_attempted.add(1);
        self.node.users.authenticate(user, password, self.peer.ip()).map_err(|refusal| {
            self.node.statistics.logins_refused.add(1);
            tracing::warn!(connection = %self.id, peer = %self.peer, %mechanism, user, %refusal, "login refused");
            LoginRefused
        })?;
        Ok(Login { may_impersonate: false })
    }

    fn open_vhost(&mut self, user: &str, name: &amqp_wire::ShortString) -> Result<(), OpenRefusal> {
        let Some(vhost) = self.node.vhost(name.as_bytes()) else {
            tracing::warn!(connection = %self.id, peer = %self.peer, user, vhost = %name, "there is no such virtual host");
            return Err(OpenRefusal::NotFound);
        };
        let mailbox: Arc<Mailbox> = Arc::clone(&self.mailbox);
        let login = field_table::ShortString::from_text_cut(user);
        vhost.with(|engine, now| engine.connect(now, self.id, login, mailbox));
        self.vhost = Some(Arc::clone(vhost));
        tracing::info!(connection = %self.id, peer = %self.peer, user, vhost = %name, "client logged in");
        Ok(())
    }

    /// Hands the commands to the engine, and with them what has left of its deliveries.
    fn submit(&mut self) {
        let Some(vhost) = &self.vhost else { return };
        let bytes = std::mem::take(&mut self.deliveries.sent_bytes);
        if bytes > 0 {
            self.commands.push(Command::Sent { connection: self.id, bytes });
        }
        if self.commands.is_empty() {
            return;
        }
        let submitted = vhost.submit(self.id, &mut self.commands);
        self.held_thread |= submitted.held_thread;
        self.set_credit(submitted.has_credit);
    }

    fn look_for_credit(&mut self) {
        if let Some(vhost) = self.vhost.as_ref().filter(|_| !self.has_credit) {
            let has_credit = vhost.with(|engine, _now| engine.publish_credit(self.id));
            self.set_credit(has_credit);
        }
    }

    fn set_credit(&mut self, has_credit: bool) {
        if self.has_credit != has_credit {
            self.has_credit = has_credit;
            // A client that is not listened to is not dead.
            self.rules.set_reading(clock::now(), has_credit);
        }
    }

    fn tick(&mut self) {
        let (_, output) = self.socket.buffers(self.node);
        self.rules.tick(clock::now(), &mut self.commands, output);
        self.submit();
        // What a burst needed need not stay with a client that is silent again. Ticks are seldom.
        self.commands.shrink_to(KEPT_ITEMS_MAX);
        self.effects.shrink_to(KEPT_ITEMS_MAX);
        self.mailbox.shrink_to(KEPT_ITEMS_MAX);
    }

    fn say_goodbye(&mut self, phase: &Phase) {
        let (_, output) = self.socket.buffers(self.node);
        match phase {
            Phase::Serving | Phase::Stopping => self.rules.shutdown(clock::now(), &mut self.commands, output),
            Phase::Failed(_) => {
                let text = "the broker can no longer store messages; see its log";
                self.rules.close(clock::now(), ReplyCode::InternalError, text, &mut self.commands, output);
            }
        }
        self.submit();
    }

    /// Encodes what waits for the client, once everything before it has been written.
    fn encode_effects(&mut self) {
        if self.socket.unwritten_bytes() > 0 {
            return;
        }
        if self.effects.is_empty() {
            self.mailbox.fetch(&mut self.effects);
            if self.effects.is_empty() {
                return;
            }
            // Credit comes back with effects as well as alone.
            self.look_for_credit();
        }
        let now = clock::now();
        let (_, output) = self.socket.buffers(self.node);
        while output.len() < OUTPUT_BYTES_TARGET {
            let Some(Released { channel, effect }) = self.effects.pop_front() else { break };
            self.rules.effect(now, channel, effect, &mut self.commands, output);
        }
        self.deliveries.encoded_bytes += self.rules.take_delivered_bytes();
        if !self.commands.is_empty() {
            self.submit();
        }
    }

    /// Tells the engine what has left, in portions that keep its delivery window open.
    fn count_sent(&mut self) {
        if self.socket.unwritten_bytes() == 0 {
            self.deliveries.sent_bytes += std::mem::take(&mut self.deliveries.encoded_bytes);
        }
        if self.deliveries.sent_bytes >= self.node.delivery_window_bytes / 4 {
            self.submit();
        }
    }

    /// Takes the client out of the engine, unless that was done already.
    fn leave(&mut self) {
        self.commands.clear();
        self.deliveries.sent_bytes = 0;
        self.rules.lost(&mut self.commands);
        self.submit();
    }

    fn log_end(&self, outcome: &io::Result<()>) {
        let (connection, peer) = (self.id, self.peer);
        match outcome {
            Ok(()) => tracing::info!(%connection, %peer, "connection closed"),
            // Load balancers knock like this every few seconds.
            Err(_) if self.rules.status() == Status::Closing => {
                tracing::info!(%connection, %peer, "connection closed")
            }
            Err(_) if self.vhost.is_none() => {
                tracing::debug!(%connection, %peer, "client left before it logged in")
            }
            Err(error) => tracing::warn!(%connection, %peer, %error, "client left without a goodbye"),
        }
    }
}

/// Setting a timer costs, and most deadlines only move away: one that rings early is set again.
fn set_alarm(alarm: Pin<&mut Sleep>, deadline: Option<Timestamp>) {
    let Some(deadline) = deadline else { return };
    let at = clock::instant(deadline).into();
    if alarm.is_elapsed() || alarm.deadline() > at {
        alarm.reset(at);
    }
}

/// However the task ends, by a panic too, the engine forgets the client: its messages go back to their queues.
impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.leave();
        self.node.statistics.connections_closed.add(1);
    }
}
