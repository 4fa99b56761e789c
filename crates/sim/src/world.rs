//! Everything there is, and the loop that makes it happen.

mod clients;
mod connections;
mod disk;
mod ending;
mod processes;
mod requesters;

use std::collections::BTreeMap;

use broker::Timestamp;
use journal::storage::MemoryStorage;

use crate::agenda::{Agenda, Event, Micros, SECOND};
use crate::checkers::{Checkers, check_bounds, check_progress};
use crate::client::{Client, Role};
use crate::faults::Fault;
use crate::limits::Limits;
use crate::line::{Line, LineId};
use crate::messages::{MessageId, Messages};
use crate::model::Journaled;
use crate::node::{Node, SharedTap, lock};
use crate::plan::Plan;
use crate::random::Random;
use crate::requester::Requester;
use crate::trace::Trace;
use crate::violation::Violation;

/// When the simulated clocks begin, in milliseconds since 1970: late enough to be set back.
const BEGINNING_MS: u64 = 1_790_000_000_000;

/// What a run did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that happened.
    pub events: u64,
    /// Operations that clients began.
    pub operations: u64,
    /// Things that checkers looked at.
    pub checked: u64,
    /// Times that the broker's process or its machine was lost.
    pub crashes: u64,
    /// Messages that were published.
    pub messages: u64,
    /// Publishes that were refused for want of room on the disk.
    pub rejected: u64,
    /// Entries that the journal had in the end.
    pub entries: u64,
}

impl Counts {
    /// Adds what another run did.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.operations += other.operations;
        self.checked += other.checked;
        self.crashes += other.crashes;
        self.messages += other.messages;
        self.rejected += other.rejected;
        self.entries += other.entries;
    }
}

/// A world.
pub struct World {
    plan: Plan,
    random: Random,
    agenda: Agenda,
    trace: Trace,
    counts: Counts,
    disk: MemoryStorage,
    tap: SharedTap,
    node: Option<Node>,
    /// Why the node may fail: a fault of the disk was ordered in this boot.
    disk_may_fail: bool,
    /// The disk is full until then, or was.
    full_until: Micros,
    /// What the clock of the machine is ahead of simulated time, in milliseconds.
    clock_ahead_ms: u64,
    lines: BTreeMap<LineId, Line>,
    next_line: u64,
    clients: Vec<Client>,
    requesters: Vec<Requester>,
    messages: Messages,
    checkers: Checkers,
    journaled: Journaled,
    fault: Option<Fault>,
    /// When the process is told to end in peace.
    stop_after: Option<Micros>,
    /// For the auditor: what is still to be found in a queue, the next one last.
    to_find: Vec<Option<MessageId>>,
    /// Nothing bad happens any more, and clients only finish what they have begun.
    is_healed: bool,
    /// What is in the queues is looked through: time brings nothing more.
    is_audited: bool,
}

impl World {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64, limits: &Limits, echo: bool) -> Self {
        let mut random = Random::new(seed);
        let mut plan = Plan::choose(&mut random.fork(), Role::ALL.len());
        limits.apply(&mut plan);
        let tap = SharedTap::default();
        let mut clients = vec![Client::new(0, Role::Auditor)];
        for (role, count) in Role::ALL.into_iter().zip(&plan.roles) {
            (0..*count).for_each(|_| clients.push(Client::new(clients.len() as u32, role)));
        }
        Self {
            random,
            agenda: Agenda::default(),
            trace: Trace::new(echo),
            counts: Counts::default(),
            disk: MemoryStorage::new(),
            node: None,
            disk_may_fail: false,
            full_until: 0,
            clock_ahead_ms: BEGINNING_MS,
            lines: BTreeMap::new(),
            next_line: 1,
            clients,
            requesters: (0..plan.requesters).map(Requester::new).collect(),
            messages: Messages::default(),
            checkers: Checkers::new(tap.clone(), echo),
            journaled: Journaled::default(),
            fault: None,
            stop_after: None,
            to_find: Vec::new(),
            is_healed: true,
            is_audited: false,
            tap,
            plan,
        }
    }

    /// The log so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (messages, entries) = (self.messages.len() as u64, lock(&self.tap).appended());
        Counts { messages, entries, checked: self.checkers.checked, ..self.counts }
    }

    /// Lets the world go its way to its end.
    pub fn run(&mut self) -> Result<(), Violation> {
        let plan = format!("{:?}", self.plan);
        self.say(&plan);
        self.set_up()?;
        self.is_healed = false;
        if self.plan.faults.garbage {
            self.disk.allow_garbage();
        }
        let end = self.agenda.now() + self.plan.duration;
        let operations_max = self.plan.operations_max;
        for number in 1..self.clients.len() as u32 {
            self.agenda.schedule(Event::ClientActs(number), u64::from(number) * 100);
        }
        for number in 0..self.requesters.len() as u32 {
            self.agenda.schedule(Event::RequesterActs(number), 50 + u64::from(number) * 100);
        }
        self.draw_fault();
        self.order_disk_faults();
        self.run_until(|world| world.agenda.now() >= end || world.counts.operations >= operations_max)?;
        self.heal()?;
        self.audit()
    }

    /// Lets things happen until something is so.
    fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        while !is_so(self) {
            let Some(event) = self.agenda.take_next() else {
                return Err(Violation::new("simulation", "nothing is to happen any more"));
            };
            self.counts.events += 1;
            self.checkers.now = self.agenda.now();
            self.checkers.clock = self.now();
            self.happen(event);
            self.after_event();
            self.look_at_tasks();
            if self.stop_after.take_if(|at| *at <= self.agenda.now()).is_some() {
                self.stop();
            }
            self.trace.take_logged(self.agenda.now());
            self.trace.aside(self.agenda.now(), self.checkers.take_log());
            if let Some(violation) = self.checkers.take_violation() {
                self.say(&format!("VIOLATION {violation}"));
                return Err(violation);
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Boot => self.boot(),
            Event::JournalWrite
            | Event::JournalSync
            | Event::JournalSpares
            | Event::JournalCompact
            | Event::JournalRead => {
                self.step_journal(event);
            }
            Event::Checkpoint => self.write_checkpoint(),
            Event::CheckpointDone => self.end_checkpoint(),
            Event::Load => self.load(),
            Event::LoadDone => self.end_load(),
            Event::Tick => self.tick(),
            Event::ServeLine(line) => self.serve(line),
            Event::TickLine(line) => self.tick_line(line),
            Event::ServerReads(line) => self.server_reads(line),
            Event::ClientReads(number) => self.client_reads(number),
            Event::ClientActs(number) => self.client_acts(number),
            Event::RequesterActs(number) => self.requester_acts(number),
            Event::RequesterHears(number) => self.requester_hears(number),
            Event::Fault => self.meet_fault(),
            Event::CleanUp => self.clean_up(),
            Event::Inspect => self.inspect(),
        }
    }

    /// The time that the core is told.
    fn now(&self) -> Timestamp {
        Timestamp(self.clock_ahead_ms + self.agenda.now() / 1000)
    }

    fn say(&mut self, text: &str) {
        self.trace.line(self.agenda.now(), text);
    }

    /// Draws the next fault that comes by itself.
    fn draw_fault(&mut self) {
        if self.is_healed {
            return;
        }
        if let Some((after, fault)) = self.plan.faults.next(&mut self.random) {
            self.fault = Some(fault);
            self.agenda.schedule(Event::Fault, after);
        }
    }

    fn meet_fault(&mut self) {
        let fault = self.fault.take().filter(|_| !self.is_healed);
        match fault {
            None => {}
            // In the middle of one of the steps that the disk does next, or between any two.
            Some(Fault::PowerCut) if self.random.percent(60) => {
                self.disk.cut_power_after(self.random.below(10))
            }
            Some(Fault::PowerCut) => self.lose_power("at any moment"),
            Some(Fault::Kill) => self.kill("at any moment"),
            Some(Fault::CutLine) => self.cut_some_line(),
            Some(Fault::StopReading(time)) => {
                let at = self.random.index(self.clients.len());
                self.clients[at].deaf_until = self.agenda.now() + time;
                self.say(&format!("client {at} stops reading for {time} us"));
            }
            Some(Fault::FillDisk(free_bytes, time)) => self.fill_disk(free_bytes, time),
            Some(Fault::JumpClock(ahead_ms)) => {
                self.clock_ahead_ms += ahead_ms;
                self.say(&format!("the clock jumps ahead by {ahead_ms} ms"));
            }
        }
        self.draw_fault();
    }

    /// Looks at the whole.
    fn inspect(&mut self) {
        let now = self.agenda.now();
        self.agenda.schedule(Event::Inspect, SECOND / 20);
        let Some(node) = &self.node else { return };
        if let Err(violation) = check_bounds(node, &self.plan) {
            self.checkers.report(violation);
        }
        // A disk loses what was not synced, and garbles nothing that was.
        if let Some((queue, reason)) = node.engine.halted_queues().next() {
            let what = format!("queue {queue} is halted without a cause: {reason}");
            self.checkers.report(Violation::new("damage", what));
        }
        for client in self.clients.iter().filter(|client| client.deaf_until <= now) {
            if let Err(violation) = check_progress(client, now) {
                self.checkers.report(violation);
            }
        }
        self.compare(false);
    }

    /// Compares what the broker has with what its journal says, and that with what clients know.
    fn compare(&mut self, after_crash: bool) {
        let Some(view) = self.node.as_ref().and_then(|node| node.engine.view_at_last_entry()) else { return };
        if !self.read_journal() {
            return;
        }
        if let Err(what) = self.journaled.check(&view) {
            return self.checkers.report(Violation::new("replay", what));
        }
        self.checkers.inspect(&self.journaled, &self.messages, after_crash);
    }

    /// Reads what the journal has got. False if that makes no sense.
    fn read_journal(&mut self) -> bool {
        while let Some(entry) = { lock(&self.tap).entry(self.journaled.position() + 1) } {
            if let Err(violation) = self.journaled.read(entry) {
                self.checkers.report(violation);
                return false;
            }
        }
        true
    }
}
