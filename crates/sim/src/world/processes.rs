//! The broker's process: it starts, it is killed, its machine loses power, it ends in peace.

use super::World;
use crate::agenda::{Event, SECOND};
use crate::model::Journaled;
use crate::node::{Node, lock};
use crate::violation::Violation;

impl World {
    /// Starts the process.
    pub(super) fn boot(&mut self) {
        if self.node.is_some() {
            return;
        }
        let now = self.now();
        let secret = self.random.draw();
        let booted = Node::boot(&self.plan, &self.disk, self.tap.clone(), secret, now);
        if self.disk.is_off() {
            return self.lose_power("while the process starts");
        }
        match booted {
            Ok(node) => self.booted(node),
            // On a disk that is full to the last byte the process says so, and tries again later.
            Err(error) if self.disk_may_fail || self.may_be_short() && error.to_string().contains("full") => {
                self.say(&format!("the process does not start: {error}"));
                self.end_process(false);
            }
            Err(error) => {
                let what = format!("the process does not start: {error}");
                self.checkers.report(Violation::new("no failure without a cause", what));
            }
        }
    }

    fn booted(&mut self, node: Node) {
        let recovery = *node.engine.recovery();
        self.say(&format!("booted: {recovery:?}"));
        for solo in self.clients.iter_mut().filter_map(|client| client.solo.as_mut()) {
            solo.crash(recovery.clean);
        }
        self.node = Some(node);
        // What was lost may be in the model, so it begins again.
        self.journaled = Journaled::default();
        self.compare(true);
        self.agenda.schedule(Event::Inspect, SECOND / 20);
        for number in 1..self.clients.len() as u32 {
            self.agenda.schedule(Event::ClientActs(number), 1 + u64::from(number));
        }
        for number in 0..self.requesters.len() as u32 {
            self.agenda.schedule(Event::RequesterActs(number), 500 + u64::from(number));
        }
        let stops = self.random.percent(self.plan.faults.orderly_stop_percent) && !self.is_healed;
        self.stop_after = stops.then(|| self.agenda.now() + self.random.below(SECOND));
    }

    /// The machine loses power, and gets it back.
    pub(super) fn lose_power(&mut self, when: &str) {
        self.say(&format!("the power is cut {when}"));
        self.end_process(true);
    }

    /// The process is killed; the machine lives on.
    pub(super) fn kill(&mut self, why: &str) {
        self.say(&format!("the process ends {why}"));
        self.end_process(false);
    }

    /// The process ends in peace.
    pub(super) fn stop(&mut self) {
        self.say("the process ends in peace");
        let now = self.now();
        self.drop_lines(true);
        let Some(node) = &mut self.node else { return };
        let closed = node.close(now);
        if self.disk.is_off() {
            return self.lose_power("while the process ends");
        }
        if let Err(error) = closed {
            let has_cause = self.disk_may_fail || self.may_be_short() && error.contains("full");
            if !has_cause {
                let what = format!("the process cannot end in peace: {error}");
                self.checkers.report(Violation::new("no failure without a cause", what));
            }
        }
        self.end_process(false);
    }

    fn end_process(&mut self, power_is_lost: bool) {
        self.counts.crashes += 1;
        self.drop_lines(false);
        self.drop_requesters();
        self.node = None;
        self.checkers.process_ended();
        for event in [
            Event::JournalWrite,
            Event::JournalSync,
            Event::JournalSpares,
            Event::JournalRead,
            Event::Checkpoint,
            Event::CheckpointDone,
            Event::Tick,
            Event::Inspect,
        ] {
            self.agenda.cancel(event);
        }
        if power_is_lost {
            self.disk.crash(self.random.draw());
            // It is no less full for that. What was lost was not much.
            if self.agenda.has(Event::CleanUp) {
                self.disk.set_capacity(self.disk.bytes());
            }
            // The clock of a machine may be set back while it is off.
            self.clock_ahead_ms -= self.random.below(30_000).min(self.clock_ahead_ms / 1000);
        } else {
            self.disk.forget_faults();
        }
        self.disk_may_fail = false;
        self.order_disk_faults();
        let after = self.random.between(100, 50_000);
        self.agenda.schedule(Event::Boot, after);
        let position = lock(&self.tap).told_durable();
        self.say(&format!("entry {position} was told durable"));
    }
}
