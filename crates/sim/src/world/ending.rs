//! The beginning and the end: what all depend on is made, and in the end everything is looked through.

use super::World;
use crate::agenda::{Event, SECOND};
use crate::client::{Phase, Role};
use crate::operations::audit;
use crate::violation::Violation;

/// Longer than anything may take once all is well again.
pub(super) const PATIENCE: u64 = 60 * SECOND;

impl World {
    /// Starts the first process on an empty disk, and has the auditor make what all depend on.
    pub(super) fn set_up(&mut self) -> Result<(), Violation> {
        self.agenda.schedule(Event::Boot, 0);
        self.agenda.schedule(Event::ClientActs(0), 1);
        self.run_until(|world| world.clients[0].channels.get(&1).is_some_and(|channel| channel.is_open))?;
        self.turn(0, 1, audit::prepare);
        self.flush(0);
        self.run_until(|world| !world.clients[0].is_waiting())
    }

    /// Ends all that is bad, and waits until every client has what it waits for.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.say("all is well again");
        self.is_healed = true;
        self.plan.faults.sync_time_max = 1_000;
        self.disk.forget_faults();
        self.disk_may_fail = false;
        self.agenda.cancel(Event::CleanUp);
        self.clean_up();
        self.stop_after = None;
        self.agenda.cancel(Event::Fault);
        for client in &mut self.clients {
            client.deaf_until = 0;
            let number = client.number;
            self.agenda.schedule(Event::ClientReads(number), 1);
        }
        let end = self.agenda.now() + PATIENCE;
        let is_quiet = |world: &Self| {
            world.node.is_some()
                && world.clients.iter().all(|client| !client.is_waiting() || client.number == 0)
                && !world.owes_requesters()
        };
        self.run_until(|world| is_quiet(world) || world.agenda.now() > end)?;
        match self.clients.iter().find(|client| client.is_waiting() && client.number != 0) {
            Some(client) => {
                Err(Violation::new("P8", format!("all is well, and a client waits for ever: {client:?}")))
            }
            None if self.owes_requesters() => {
                let what = format!("all is well, and a requester waits for ever: {:?}", self.requesters);
                Err(Violation::new("P8", what))
            }
            None => self.send_home(),
        }
    }

    /// Nobody waits for tasks any more, and each who did is told so.
    fn send_home(&mut self) -> Result<(), Violation> {
        self.stop_leasing();
        let end = self.agenda.now() + PATIENCE;
        let is_done = |world: &Self| !world.has_leasing() && world.checkers.rest().is_ok();
        self.run_until(|world| is_done(world) || world.agenda.now() > end)?;
        if self.has_leasing() {
            let what = format!("a requester waits for tasks for ever: {:?}", self.requesters);
            return Err(Violation::new("P8", what));
        }
        self.checkers.rest()
    }

    /// Asks for all tasks, and then deletes their queues: what they owe to others goes out now.
    fn audit_tasks(&mut self) -> Result<(), Violation> {
        self.look_through_tasks()?;
        let end = self.agenda.now() + PATIENCE;
        self.run_until(|world| world.is_auditor_ready() || world.agenda.now() > end)?;
        if !self.is_auditor_ready() {
            return Err(Violation::new("P8", format!("nobody gets in any more: {:?}", self.clients[0])));
        }
        self.turn(0, 1, audit::clear_away);
        self.flush(0);
        self.run_until(|world| !world.clients[0].is_waiting() || world.agenda.now() > end)?;
        self.compare(false);
        Ok(())
    }

    fn is_auditor_ready(&self) -> bool {
        self.clients[0].channels.get(&1).is_some_and(|channel| channel.is_open)
    }

    /// Starts the process once more, so that nobody holds anything, and takes all messages out of all queues.
    pub(super) fn audit(&mut self) -> Result<(), Violation> {
        self.kill("to be looked through");
        for client in self.clients.drain(1..) {
            self.agenda.cancel(Event::ClientActs(client.number));
            self.agenda.cancel(Event::ClientReads(client.number));
        }
        self.run_until(|world| world.node.is_some())?;
        self.compare(false);
        self.audit_tasks()?;
        // From here on messages go because they are taken out, and none come because a task's time is over.
        self.agenda.cancel(Event::Inspect);
        self.agenda.cancel(Event::Tick);
        self.is_audited = true;
        // Of what was done before, nobody may have waited for the last.
        let now = self.now();
        self.node.iter_mut().for_each(|node| node.engine.drain(now));
        self.run_until(|world| world.node.as_ref().is_some_and(|node| node.engine.is_drained()))?;
        self.compare(false);
        self.read_journal();
        let queues = self.journaled.queues().map(|queue| queue.definition.name.to_string());
        for queue in queues.collect::<Vec<_>>() {
            let found = self.journaled.queue(&queue).into_iter().flat_map(|queue| queue.messages.values());
            self.to_find = found.map(|message| message.id).rev().collect();
            self.say(&format!("{queue} has {} messages", self.to_find.len()));
            self.clients[0].audited = Some(queue);
            let end = self.agenda.now() + PATIENCE;
            self.run_until(|world| world.clients[0].audited.is_none() || world.agenda.now() > end)?;
            if self.clients[0].audited.is_some() {
                let what =
                    format!("the last {} messages never come: {:?}", self.to_find.len(), self.clients[0]);
                return Err(Violation::new("P2", what));
            }
        }
        Ok(())
    }

    /// The auditor got a message.
    pub(super) fn audited(&mut self, queue: &str, body: &[u8]) {
        let (expected, found) = (self.to_find.pop(), self.messages.identify(body));
        if expected != Some(found) {
            let what = format!("{queue} gave {found:?} where {expected:?} is next");
            self.checkers.report(Violation::new("P5", what));
        }
    }

    /// The auditor got all.
    pub(super) fn audited_all(&mut self, queue: &str) {
        if !self.to_find.is_empty() {
            let what = format!("{queue} is empty, but for {:?}", self.to_find);
            self.checkers.report(Violation::new("P2", what));
        }
        let auditor = &mut self.clients[0];
        debug_assert_eq!((auditor.role, auditor.phase), (Role::Auditor, Phase::Open));
        auditor.audited = None;
    }
}
