//! What the disk does, and fails to do.

use journal::Step;

use super::World;
use crate::agenda::{Event, Micros, SECOND};
use crate::violation::Violation;

impl World {
    /// Orders the faults that the disk will meet in this boot.
    pub(super) fn order_disk_faults(&mut self) {
        if self.is_healed {
            return;
        }
        let (faults, random) = (&self.plan.faults, &mut self.random);
        if random.percent(faults.torn_step_percent) {
            // Also in the first steps of a boot, and also long after it.
            let most = *random.pick(&[30, 300, 3_000]);
            self.disk.cut_power_after(random.below(most));
        }
        if random.percent(faults.torn_rename_percent) {
            self.disk.cut_power_over_renames_after(*random.pick(&[0, 0, 1, 4]));
        }
        if random.percent(faults.failing_write_percent) {
            self.disk.fail_write_after(random.below(60));
            self.disk_may_fail = true;
        }
        if random.percent(faults.failing_sync_percent) {
            self.disk.fail_sync_after(random.below(60));
            self.disk_may_fail = true;
        }
    }

    /// Somebody fills the disk, but for so many bytes.
    pub(super) fn fill_disk(&mut self, free_bytes: u64, time: Micros) {
        self.say(&format!("the disk is full, but for {free_bytes} bytes, for {time} us"));
        self.disk.set_capacity(self.disk.bytes() + free_bytes);
        self.full_until = self.agenda.now() + time;
        self.agenda.schedule(Event::CleanUp, time);
    }

    /// Somebody cleans up.
    pub(super) fn clean_up(&mut self) {
        self.say("there is room on the disk");
        self.disk.lift_capacity();
        self.full_until = self.full_until.min(self.agenda.now());
    }

    /// Whether want of room is a reason to refuse something: it takes a look a second to find out that it is over.
    pub(super) fn may_be_short(&self) -> bool {
        self.full_until > 0 && self.agenda.now() < self.full_until + 3 * SECOND
    }

    /// Does one step of the journal's work.
    pub(super) fn step_journal(&mut self, event: Event) {
        let nth = self.random.index(8);
        let Some(node) = &mut self.node else { return };
        let step = match event {
            Event::JournalWrite => Step::Write,
            Event::JournalSync => Step::Sync,
            Event::JournalSpares => Step::Spares,
            Event::JournalCompact => Step::Compact,
            _ => Step::Read(nth),
        };
        node.step(step);
    }

    pub(super) fn write_checkpoint(&mut self) {
        let Some(node) = &mut self.node else { return };
        node.write_checkpoint();
        self.agenda.schedule(Event::CheckpointDone, 200);
    }

    pub(super) fn end_checkpoint(&mut self) {
        let Some(node) = &mut self.node else { return };
        node.end_checkpoint();
    }

    pub(super) fn load(&mut self) {
        let Some(node) = &mut self.node else { return };
        node.load();
        self.say("reads state that is wanted in memory");
        let after = self.random.between(1, *self.random.clone().pick(&[10, 1_000, 10_000]));
        self.agenda.schedule(Event::LoadDone, after);
    }

    pub(super) fn end_load(&mut self) {
        let now = self.now();
        let Some(node) = &mut self.node else { return };
        node.end_load(now);
    }

    pub(super) fn tick(&mut self) {
        let now = self.now();
        if let Some(node) = &mut self.node {
            node.engine.tick(now);
        }
    }

    /// What has to be looked after once something has happened: the power may be off, the engine may have failed, and
    /// what is to be done next is put down.
    pub(super) fn after_event(&mut self) {
        if self.disk.is_off() {
            return self.lose_power("in the middle of a step of the disk");
        }
        let now = self.now();
        let packs = self.random.percent(self.plan.pack_percent);
        let evicts = self.random.percent(self.plan.evict_percent);
        let Some(node) = &mut self.node else { return };
        if packs {
            node.engine.pack();
            node.engine.rest();
        }
        if evicts {
            node.engine.evict_all();
        }
        node.pump(now);
        if self.disk.is_off() {
            return self.lose_power("in the middle of a step of the disk");
        }
        if let Some(reason) = node.failure() {
            return self.fail(&reason);
        }
        let pending = node.pending();
        let (slow, random) = (self.plan.faults.sync_time_max, &mut self.random);
        // What there is no room for is tried again and again; not so often that nothing else happens.
        let patience = if pending.is_short { 1_000 } else { 0 };
        for (wanted, event, after) in [
            (pending.write, Event::JournalWrite, patience + random.between(5, 100)),
            (pending.sync, Event::JournalSync, random.between(20, slow.max(100))),
            (pending.spares, Event::JournalSpares, random.between(50, 5_000)),
            (!pending.spares, Event::JournalSpares, SECOND),
            (pending.compact, Event::JournalCompact, random.between(50, 5_000)),
            (pending.reads > 0, Event::JournalRead, random.between(20, 2_000)),
            (
                node.has_checkpoint_job(),
                Event::Checkpoint,
                random.between(100, *random.clone().pick(&[300, 3_000, 20_000])),
            ),
            (node.has_load_job(), Event::Load, random.between(10, *random.clone().pick(&[100, 3_000]))),
        ] {
            if wanted && !self.agenda.has(event) {
                self.agenda.schedule(event, after);
            }
        }
        if let Some(deadline) = node.engine.next_deadline().filter(|_| !self.is_audited) {
            self.agenda.schedule(Event::Tick, 1000 * deadline.0.saturating_sub(now.0));
        }
        let lines: Vec<_> =
            node.ends.iter().filter(|(_, end)| end.has_news()).map(|(line, _)| *line).collect();
        for line in lines {
            if !self.agenda.has(Event::ServeLine(line)) {
                let after = self.random.between(1, 200);
                self.agenda.schedule(Event::ServeLine(line), after);
            }
        }
    }

    /// The engine no longer serves: the process says so and ends.
    fn fail(&mut self, reason: &str) {
        if !self.disk_may_fail {
            let what = format!("the engine failed without a fault of the disk: {reason}");
            self.checkers.report(Violation::new("no failure without a cause", what));
        }
        self.kill(&format!("since its engine has failed: {reason}"));
    }
}
