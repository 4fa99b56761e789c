//! Requesters: when they ask, what comes back, and how they lose their connections.

use broker::{Command, ConnectionId, Effect, Envelope, RequestTag, SessionId, Standalone, TaskId};

use super::World;
use crate::agenda::Event;
use crate::client::name;
use crate::operations::request::STEPS;
use crate::requester::Asking;
use crate::violation::Violation;

impl World {
    /// A requester's turn.
    pub(super) fn requester_acts(&mut self, number: u32) {
        let at = number as usize;
        let after = self.random.between(1, self.plan.think_time_max);
        self.agenda.schedule(Event::RequesterActs(number), after);
        let now = self.now();
        let Some(node) = &mut self.node else { return };
        if self.requesters[at].line.is_none() {
            let line = crate::line::LineId(self.next_line);
            self.next_line += 1;
            let outlet = self.requesters[at].connect(line);
            node.engine.connect(now, ConnectionId(line.0), name("guest"), outlet);
            self.say(&format!("requester {at} connects on {line}"));
        }
        if let Some(operation) = self.requesters[at].to_repeat.pop_front() {
            self.requesters[at].ask(operation, self.agenda.now());
        } else if !self.is_healed && self.random.percent(2) {
            return self.break_requester(at);
        } else if !self.is_healed {
            let chosen = self.random.weighted(STEPS.iter().map(|(weight, _)| *weight));
            self.counts.operations += 1;
            STEPS[chosen].1(&mut Asking {
                requester: &mut self.requesters[at],
                random: &mut self.random,
                messages: &mut self.messages,
                plan: &self.plan,
                now: self.agenda.now(),
            });
        }
        self.send_requests(at);
    }

    /// What a requester has asked for reaches the broker, as far as it takes messages.
    pub(super) fn send_requests(&mut self, at: usize) {
        let now = self.now();
        let Self { node, requesters, checkers, messages, .. } = self;
        let (Some(node), requester) = (node, &mut requesters[at]) else { return };
        let Some(line) = requester.line else { return };
        let connection = ConnectionId(line.0);
        while let Some((tag, operation)) = requester.outbox.pop_front() {
            if adds_messages(&operation) && !node.engine.publish_credit(connection) {
                requester.outbox.push_front((tag, operation));
                break;
            }
            // Each request has a lane of its own, as over HTTP.
            let lane = SessionId { connection, channel: tag as u16 };
            let command =
                Command::Standalone { lane, request: RequestTag(tag), operation: Box::new(operation) };
            checkers.told(line, &command, messages);
            node.engine.submit(now, &mut vec![command]);
            if let Some(helper) = node.engine.take_helper() {
                helper.help();
            }
        }
    }

    /// A requester's answers have come.
    pub(super) fn requester_hears(&mut self, number: u32) {
        let requester = &mut self.requesters[number as usize];
        let count = self.random.between(0, requester.inbox.len() as u64) as usize;
        let count = if self.random.percent(70) { requester.inbox.len() } else { count };
        let some: Vec<_> = requester.inbox.drain(..count).collect();
        if !requester.inbox.is_empty() {
            self.agenda.schedule(Event::RequesterHears(number), self.random.between(10, 2_000));
        }
        self.tell_requester(number as usize, some);
    }

    /// What has left the broker for requesters is looked at, and goes on its way.
    pub(super) fn look_at_tasks(&mut self) {
        if self.node.is_none() {
            return;
        }
        self.checkers.clock = self.now();
        self.checkers.look();
        for at in 0..self.requesters.len() {
            let requester = &mut self.requesters[at];
            let Some(line) = requester.line else { continue };
            let (effects, has_news) = requester.mailbox.take();
            if !has_news {
                continue;
            }
            for released in effects {
                self.checkers.said(line, released.channel, &released.effect, &mut self.messages);
                requester.inbox.push_back(released.effect);
            }
            let number = requester.number;
            self.send_requests(at);
            if !self.requesters[at].inbox.is_empty() && !self.agenda.has(Event::RequesterHears(number)) {
                self.agenda.schedule(Event::RequesterHears(number), self.random.between(10, 2_000));
            }
        }
    }

    /// The connection of a requester breaks: some of the answers on their way still come, some requests never did.
    fn break_requester(&mut self, at: usize) {
        self.requester_loses(at);
        let Some(line) = self.requesters[at].line else { return };
        let lost = self.random.percent(70);
        self.say(&format!("requester {at} loses {line}"));
        let command = Command::Disconnect { connection: ConnectionId(line.0), lost };
        self.checkers.told(line, &command, &mut self.messages);
        let now = self.now();
        if let Some(node) = &mut self.node {
            node.engine.submit(now, &mut vec![command]);
        }
        self.requesters[at].disconnected();
    }

    /// The process is gone, and all connections with it.
    pub(super) fn drop_requesters(&mut self) {
        for at in 0..self.requesters.len() {
            self.agenda.cancel(Event::RequesterHears(at as u32));
            if self.requesters[at].line.is_some() {
                self.requester_loses(at);
                self.requesters[at].disconnected();
            }
        }
    }

    /// Of the answers on their way some come.
    fn requester_loses(&mut self, at: usize) {
        let requester = &mut self.requesters[at];
        let count = self.random.between(0, requester.inbox.len() as u64) as usize;
        let some: Vec<_> = requester.inbox.drain(..count).collect();
        self.tell_requester(at, some);
    }

    fn tell_requester(&mut self, at: usize, effects: Vec<Effect<Envelope>>) {
        let is_short = self.may_be_short();
        for effect in effects {
            if let Err(violation) = self.requesters[at].hear(effect, &mut self.messages, is_short) {
                self.checkers.report(violation);
            }
        }
    }

    /// Whether a requester waits for something that must come by now: an answer, or the end of a task that has ended.
    pub(super) fn owes_requesters(&self) -> bool {
        let has_ended = |task: TaskId| self.checkers.has_ended(task);
        self.requesters.iter().any(|requester| {
            let watches = requester.waiting.values().filter_map(|waiting| match &waiting.operation {
                Standalone::Watch { task, .. } => Some(*task),
                _ => None,
            });
            requester.is_waiting() || !requester.to_repeat.is_empty() || watches.into_iter().any(has_ended)
        })
    }

    /// Nobody waits for tasks any more, and each who did is told so.
    pub(super) fn stop_leasing(&mut self) {
        let now = self.agenda.now();
        for at in 0..self.requesters.len() {
            let waits = |operation: &Standalone| matches!(operation, Standalone::Lease(lease) if lease.wait);
            let waiting = self.requesters[at].waiting.iter();
            let tags: Vec<u64> =
                waiting.filter(|(_, waiting)| waits(&waiting.operation)).map(|(tag, _)| *tag).collect();
            for tag in tags {
                self.requesters[at].ask(Standalone::StopLeasing { waiting: RequestTag(tag) }, now);
            }
            self.send_requests(at);
        }
    }

    /// Whether somebody waits for tasks.
    pub(super) fn has_leasing(&self) -> bool {
        let is_lease = |operation: &Standalone| matches!(operation, Standalone::Lease(_));
        let waiting = |requester: &crate::requester::Requester| {
            requester.waiting.values().any(|waiting| is_lease(&waiting.operation))
        };
        self.requesters.iter().any(waiting)
    }

    /// Asks for every task that anybody was ever told of.
    pub(super) fn look_through_tasks(&mut self) -> Result<(), Violation> {
        let tasks = self.checkers.told_tasks();
        let Some(requester) = self.requesters.first_mut() else { return Ok(()) };
        requester.waiting.clear();
        requester.to_repeat.clear();
        for task in tasks {
            let operation = Standalone::Watch { task, until: broker::Until::Now, with_result: true };
            requester.ask(operation, self.agenda.now());
        }
        let end = self.agenda.now() + super::ending::PATIENCE;
        self.run_until(|world| !world.requesters[0].is_waiting() || world.agenda.now() > end)?;
        match self.requesters[0].is_waiting() {
            true => Err(Violation::new("P8", "questions for tasks are never answered")),
            false => Ok(()),
        }
    }
}

/// Whether an operation brings messages, which have to wait for credit.
fn adds_messages(operation: &Standalone) -> bool {
    matches!(
        operation,
        Standalone::Publish(_) | Standalone::Enqueue(_) | Standalone::Complete(_) | Standalone::Fail(_)
    )
}
