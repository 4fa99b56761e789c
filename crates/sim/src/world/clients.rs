//! Clients: when they read, what they make of it, what they do next.

use amqp_wire::channel;

use super::World;
use crate::agenda::Event;
use crate::client::{Asked, Channel, Client, Heard, Hearing, Phase, Proof, Request, Role, Turn};
use crate::line::LineId;
use crate::model::Answer;
use crate::operations::{SMALL, move_token};
use crate::violation::Violation;

impl World {
    /// Bytes have come to a client, or the end.
    pub(super) fn client_reads(&mut self, number: u32) {
        let now = self.agenda.now();
        let client = &self.clients[number as usize];
        let id = client.line;
        if client.deaf_until > now {
            let after = client.deaf_until - now;
            return self.agenda.schedule(Event::ClientReads(number), after);
        }
        let Some(line) = self.lines.get_mut(&id) else { return };
        let bytes = line.to_client.read(&mut self.random);
        let (more, over) = (line.to_client.has_bytes(), line.to_client.is_over());
        self.client_hears(id, &bytes);
        if more {
            let after = self.random.between(1, 300);
            self.agenda.schedule(Event::ClientReads(number), after);
        }
        // There is room for what the server holds back.
        self.agenda.schedule(Event::ServeLine(id), 10);
        if over || self.clients[number as usize].phase == Phase::Offline {
            self.client_loses(number as usize);
        } else {
            self.flush(number as usize);
        }
    }

    /// A client takes bytes in.
    pub(super) fn client_hears(&mut self, id: LineId, bytes: &[u8]) {
        let Some(number) = self.clients.iter().position(|client| client.line == id) else { return };
        if self.clients[number].phase == Phase::Offline {
            return;
        }
        let mut hearing = Hearing { messages: &mut self.messages, heard: Vec::new() };
        let heard = self.clients[number].hear(bytes, &mut hearing);
        let news = hearing.heard;
        if let Err(violation) = heard {
            self.checkers.report(violation);
        }
        for one in news {
            self.checkers.checked += 1;
            if let Err(violation) = self.learn(number, &one) {
                self.checkers.report(violation);
            }
        }
        self.note_waiting(number);
    }

    /// The connection of a client is over.
    fn client_loses(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if let Some(solo) = &mut client.solo {
            solo.cut();
        }
        if let Some(line) = self.lines.get_mut(&client.line) {
            line.to_server.close();
            self.agenda.schedule(Event::ServerReads(client.line), 100);
        }
        client.disconnected();
        let after = self.random.between(100, 20_000);
        self.agenda.schedule(Event::ClientActs(number as u32), after);
    }

    /// A client's turn.
    pub(super) fn client_acts(&mut self, number: u32) {
        let at = number as usize;
        let after = self.random.between(1, self.plan.think_time_max);
        self.agenda.schedule(Event::ClientActs(number), after);
        match self.clients[at].phase {
            Phase::Offline if !self.is_healed || at == 0 => self.connect(at),
            Phase::Open => self.work(at),
            _ => {}
        }
        self.note_waiting(at);
        self.flush(at);
        if std::mem::take(&mut self.clients[at].vanishes) {
            self.cut_line(self.clients[at].line);
        }
    }

    fn work(&mut self, at: usize) {
        let role = self.clients[at].role;
        let number = 1 + self.random.below(u64::from(role.channels())) as u16;
        match self.clients[at].channels.get(&number) {
            None if !self.is_healed || role == Role::Auditor => self.open_channel(at, number),
            Some(channel) if channel.is_open && (!self.is_healed || role == Role::Auditor) => {
                let operations = role.operations();
                let chosen = self.random.weighted(operations.iter().map(|(weight, _)| *weight));
                let operation = operations[chosen].1;
                let before = self.clients[at].output.len();
                self.turn(at, number, operation);
                let has_acted = self.clients[at].output.len() > before && !self.is_healed;
                self.counts.operations += u64::from(has_acted);
            }
            _ => {}
        }
    }

    fn open_channel(&mut self, at: usize, number: u16) {
        let client = &mut self.clients[at];
        let asked = [Asked::alone(Request::Open)].into();
        client.channels.insert(number, Channel { asked, ..Channel::default() });
        client.send(number, channel::Open {});
    }

    pub(super) fn turn(&mut self, at: usize, number: u16, act: impl FnOnce(&mut Turn<'_>)) {
        act(&mut Turn {
            client: &mut self.clients[at],
            number,
            random: &mut self.random,
            messages: &mut self.messages,
            plan: &self.plan,
        });
    }

    /// A client has learnt something.
    fn learn(&mut self, at: usize, heard: &Heard) -> Result<(), Violation> {
        let role = self.clients[at].role;
        self.counts.rejected += u64::from(matches!(heard, Heard::Rejected { .. }));
        match heard {
            Heard::Answered { channel, request: Request::Open, .. } => {
                for operation in role.preparation() {
                    self.turn(at, *channel, operation);
                }
            }
            Heard::Got { channel, .. } if role == Role::Mover => {
                self.turn(at, *channel, |turn| move_token::put(turn, heard));
            }
            Heard::Refused { code: 406, text, .. }
                if self.may_be_short() && text.contains("disk is full") => {}
            Heard::Refused { code, text, .. } if !may_be_refused(role, *code) => {
                let what = format!("client {at} ({role:?}) did nothing wrong, and yet: {code} {text}");
                return Err(Violation::new("P10", what));
            }
            // A tag that is taken ends the connection, as it does in RabbitMQ.
            Heard::Expelled { code: 530, .. } if role == Role::Churner => {}
            Heard::Expelled { code, text } => {
                let what = format!("client {at} ({role:?}) was sent away: {code} {text}");
                return Err(Violation::new("P10", what));
            }
            Heard::Rejected { message } if !self.may_be_short() && !self.is_for_small_queue(*message) => {
                return Err(Violation::new("P2", format!("{message:?} was rejected without a reason")));
            }
            Heard::Got { body, queue, .. } if role == Role::Auditor => self.audited(queue, body),
            Heard::Empty { queue, .. } if role == Role::Auditor => self.audited_all(&queue.clone()),
            _ => {}
        }
        match &mut self.clients[at] {
            client @ Client { solo: Some(_), .. } => learn_solo(client, heard, &self.messages),
            _ => Ok(()),
        }
    }

    fn is_for_small_queue(&self, message: crate::messages::MessageId) -> bool {
        self.messages[message].queue.as_deref() == Some(SMALL)
    }

    /// Notes since when a client waits.
    fn note_waiting(&mut self, at: usize) {
        let now = self.agenda.now();
        let client = &mut self.clients[at];
        // Whoever gets answers is served.
        client.waiting_since =
            client.is_waiting().then_some(now).map(|now| client.waiting_since.unwrap_or(now));
    }
}

fn may_be_refused(role: Role, code: u16) -> bool {
    match role {
        Role::Churner => [403, 404, 405, 406].contains(&code),
        Role::Publisher => code == 404,
        Role::Worker | Role::TaskWorker => code == 406,
        // The queue that does not survive may be gone.
        Role::Flooder | Role::Drinker => code == 404,
        _ => false,
    }
}

fn learn_solo(
    client: &mut Client,
    heard: &Heard,
    messages: &crate::messages::Messages,
) -> Result<(), Violation> {
    let Some(solo) = &mut client.solo else { return Ok(()) };
    match heard {
        Heard::Answered { request: Request::Open | Request::Close, .. } => Ok(()),
        Heard::Answered { count: Some(count), .. } => {
            solo.answered(Answer::Count(u64::from(*count)), Proof::Durable)
        }
        Heard::Answered { .. } => solo.answered(Answer::Done, Proof::Durable),
        Heard::Confirmed { messages, .. } => messages.iter().try_for_each(|id| solo.confirmed(*id)),
        Heard::Got { tag, body, redelivered, remaining, .. } => {
            let Some(id) = messages.identify(body) else {
                return Err(Violation::new("P2", "a body came back that nobody has published"));
            };
            let (tag, redelivered, remaining) = (*tag, *redelivered, u64::from(*remaining));
            solo.answered(Answer::Got { id, tag, redelivered, remaining }, Proof::Nothing)
        }
        Heard::Empty { .. } => solo.answered(Answer::Empty, Proof::Nothing),
        Heard::Rejected { message } => {
            solo.rejected(*message);
            Ok(())
        }
        // For want of room: the channel ends, and all on it that was not done.
        Heard::Refused { .. } => {
            solo.cut();
            Ok(())
        }
        _ => Ok(()),
    }
}
