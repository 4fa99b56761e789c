//! P4: at any moment one consumer at most holds a message.

use std::collections::{BTreeMap, VecDeque};

use broker::{Answer, Command, Effect, Envelope, Operation};

use crate::agenda::{Micros, SECOND};
use crate::line::LineId;
use crate::messages::{MessageId, number};
use crate::violation::Violation;

/// Who holds what.
#[derive(Debug, Default)]
pub(super) struct OneHolder {
    sessions: BTreeMap<SessionKey, Session>,
    /// The holder of each message in each queue.
    holders: BTreeMap<(MessageId, String), (SessionKey, u64)>,
    /// Somebody got what another holds: right only if the session of one of them has ended by a refusal that it is still
    /// to be told of. Who was given the message first may be told of it last.
    suspicions: Vec<Suspicion>,
}

type SessionKey = (LineId, u16);

#[derive(Debug, Default)]
struct Session {
    /// Openings, closings and recoveries that were asked for and not answered: what is said meanwhile is not held.
    turning: u32,
    /// Consumers: the queue, and whether they settle.
    consumers: BTreeMap<String, (String, bool)>,
    /// Queues of the gets that wait for their answers.
    gets: VecDeque<(String, bool)>,
    held: BTreeMap<u64, (MessageId, String)>,
}

#[derive(Debug)]
struct Suspicion {
    since: Micros,
    between: [SessionKey; 2],
    what: String,
}

/// A refusal is told as soon as the journal has caught up.
const PATIENCE: Micros = 20 * SECOND;

impl OneHolder {
    pub(super) fn told(&mut self, line: LineId, command: &Command) {
        let (key, operation) = match command {
            Command::Session { session, operation, .. } => ((line, session.channel), operation),
            Command::Disconnect { .. } => {
                // Whether it was to be told of a refusal nobody will know.
                let is_on_it =
                    |suspicion: &Suspicion| suspicion.between.iter().any(|(other, _)| *other == line);
                self.suspicions.retain(|suspicion| !is_on_it(suspicion));
                return self.end(|(other, _)| other == line);
            }
            _ => return,
        };
        match operation {
            Operation::OpenSession | Operation::CloseSession => {
                let turning = self.sessions.get(&key).map_or(0, |session| session.turning);
                self.end(|other| other == key);
                self.sessions.entry(key).or_default().turning = turning + 1;
            }
            Operation::Consume(consume) => {
                let (queue, no_ack) = (consume.queue.to_string(), consume.no_ack);
                let session = self.sessions.entry(key).or_default();
                session.consumers.insert(consume.tag.to_string(), (queue, no_ack));
            }
            Operation::Get { queue, no_ack } => {
                let session = self.sessions.entry(key).or_default();
                session.gets.push_back((queue.to_string(), *no_ack));
            }
            Operation::Settle { delivery_tag, multiple, .. } => self.settle(key, *delivery_tag, *multiple),
            Operation::Recover => {
                self.settle(key, 0, true);
                self.sessions.entry(key).or_default().turning += 1;
            }
            _ => {}
        }
    }

    pub(super) fn said(
        &mut self,
        line: LineId,
        channel: u16,
        effect: &Effect<Envelope>,
        now: Micros,
    ) -> Result<(), Violation> {
        let key = (line, channel);
        let session = self.sessions.entry(key).or_default();
        if let Effect::Answered { answer, .. } = effect
            && matches!(answer, Answer::SessionOpened | Answer::SessionClosed | Answer::Recovered)
        {
            session.turning = session.turning.saturating_sub(1);
        }
        if session.turning > 0 {
            return Ok(());
        }
        let (queue, no_ack, tag, message) = match effect {
            // Who holds a task is another question.
            Effect::Deliver { task: Some(_), .. } => return Ok(()),
            Effect::Deliver { consumer_tag, delivery_tag, message, .. } => {
                let Some((queue, no_ack)) = session.consumers.get(&consumer_tag.to_string()) else {
                    return Ok(());
                };
                (queue.clone(), *no_ack, *delivery_tag, message)
            }
            Effect::Got { delivery_tag, message, .. } => {
                let Some((queue, no_ack)) = session.gets.pop_front() else { return Ok(()) };
                (queue, no_ack, *delivery_tag, message)
            }
            Effect::Answered { answer: Answer::GetEmpty, .. } => {
                session.gets.pop_front();
                return Ok(());
            }
            Effect::Refused { .. } => {
                self.end(|other| other == key);
                self.suspicions.retain(|suspicion| !suspicion.between.contains(&key));
                return Ok(());
            }
            _ => return Ok(()),
        };
        if let Some(id) = number(message.body()) {
            self.hold((id, queue), key, tag, no_ack, now);
        }
        Ok(())
    }

    pub(super) fn process_ended(&mut self) {
        *self = Self::default();
    }

    /// All is quiet: who was to be told of anything is.
    pub(super) fn rest(&self) -> Result<(), Violation> {
        match self.suspicions.first() {
            Some(suspicion) => Err(Violation::new("P4", suspicion.what.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn inspect(&mut self, now: Micros) -> Result<(), Violation> {
        match self.suspicions.iter().find(|suspicion| suspicion.since + PATIENCE < now) {
            Some(suspicion) => Err(Violation::new("P4", suspicion.what.clone())),
            None => Ok(()),
        }
    }

    fn hold(&mut self, message: (MessageId, String), key: SessionKey, tag: u64, no_ack: bool, now: Micros) {
        if let Some((first, _)) = self.holders.get(&message).copied() {
            let (id, queue) = (&message.0, &message.1);
            let what = format!("{id:?} of {queue} went to {key:?} while {first:?} holds it");
            self.suspicions.push(Suspicion { since: now, between: [first, key], what });
        }
        if !no_ack {
            self.holders.insert(message.clone(), (key, tag));
            self.sessions.entry(key).or_default().held.insert(tag, message);
        }
    }

    fn settle(&mut self, key: SessionKey, tag: u64, multiple: bool) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let is_meant = |other: &u64| match (multiple, tag) {
            (true, 0) => true,
            (true, _) => *other <= tag,
            (false, _) => *other == tag,
        };
        let tags: Vec<u64> = session.held.keys().copied().filter(is_meant).collect();
        for tag in tags {
            if let Some(message) = session.held.remove(&tag) {
                release(&mut self.holders, &message, key, tag);
            }
        }
    }

    fn end(&mut self, is_meant: impl Fn(SessionKey) -> bool) {
        let ended: Vec<SessionKey> = self.sessions.keys().copied().filter(|key| is_meant(*key)).collect();
        for key in ended {
            if let Some(session) = self.sessions.remove(&key) {
                session.held.iter().for_each(|(tag, message)| release(&mut self.holders, message, key, *tag));
            }
        }
    }
}

fn release(
    holders: &mut BTreeMap<(MessageId, String), (SessionKey, u64)>,
    message: &(MessageId, String),
    key: SessionKey,
    tag: u64,
) {
    if holders.get(message) == Some(&(key, tag)) {
        holders.remove(message);
    }
}
