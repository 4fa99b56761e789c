//! The engine itself: who calls what, in which order.

use std::sync::Arc;

use broker::{
    Addressed, Broker, Command, ConnectionId, DurableView, Home, Lsn, NumberMap, Output, Table, TableKind,
    Timestamp, Volatile, Want,
};
use bytes::BytesMut;
use field_table::ShortString;
use journal::{Help, State, Writer};

use crate::bodies::Bodies;
use crate::checkpoint::{Checkpoints, RunsByKey};
use crate::link::{Link, Outlet};
use crate::loads::Loads;
use crate::lone::Lone;
use crate::parked::Parked;
use crate::reads::Reads;
use crate::recovery::Recovery;
use crate::room::RoomWatch;
use crate::settings::Settings;

/// One vhost at work.
///
/// The owner's law:
/// - [`Self::submit`] what clients ask, a batch at a time;
/// - [`Self::pump`] whenever the journal's wake was called;
/// - [`Self::tick`] at [`Self::next_deadline`];
/// - take a [`crate::CheckpointJob`] and a [`crate::LoadJob`] when there is one, run it where blocking is fine, and hand its
///   outcome back;
/// - after each of these, without the lock, give the journal the thread that it may ask for: [`Self::take_helper`];
/// - to stop: [`Self::drain`], pump until [`Self::is_drained`], then [`Self::close`].
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) broker: Broker,
    pub(crate) out: Output,
    pub(crate) writer: Option<Box<dyn Writer>>,
    /// All entries up to here survive a crash.
    pub(crate) durable: Lsn,
    /// The last entry handed to the journal.
    pub(crate) appended: Lsn,
    /// The entry that says that this boot began. Nothing is released before it is durable.
    pub(crate) began_at: Lsn,
    /// Somebody waits for the open entry.
    pub(crate) entry_wanted: bool,
    /// Who waits for the open entry.
    pub(crate) lone: Lone,
    /// A batch of commands is being taken, by the thread of the one who sent it.
    pub(crate) submitting: bool,
    /// Something was submitted since [`Self::rest`] was last called.
    pub(crate) was_busy: bool,
    /// What the journal wants of that thread.
    pub(crate) helper: Option<Arc<dyn Help>>,
    /// When the open entry is written although nobody waits for it.
    pub(crate) flush_at: Option<Timestamp>,
    pub(crate) links: NumberMap<ConnectionId, Link>,
    /// Sessions with waiting effects, in the order in which they began to wait.
    pub(crate) waiting: Vec<(ConnectionId, Option<u16>)>,
    /// Connections with something staged.
    pub(crate) touched: Vec<ConnectionId>,
    /// Connections with something that is not durable.
    pub(crate) indebted: Vec<ConnectionId>,
    /// Connections that wait for credit.
    pub(crate) starved: Vec<ConnectionId>,
    pub(crate) bodies: Bodies,
    /// Something was submitted since it was last looked how many of the bodies in memory are still needed.
    pub(crate) may_forget: bool,
    /// When that is looked at.
    pub(crate) forget_look_at: Timestamp,
    pub(crate) reads: Reads,
    pub(crate) loads: Loads,
    pub(crate) parked: Parked,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) recovery: Recovery,
    pub(crate) room: RoomWatch,
    pub(crate) failed: Option<String>,
}

/// When nothing was submitted for so long, in milliseconds, it is looked how many of the bodies in memory are still needed. Whoever is
/// busy needs their memory for the next ones.
const FORGET_AFTER_MS: u64 = 100;
/// Bodies are let go of when there are so many bytes of them for each byte of a message that still waits.
const FORGOTTEN_PER_WAITING: u64 = 4;

/// Who asks for what time brings. No connection has this number.
pub(crate) const CLOCK: ConnectionId = ConnectionId(0);

/// Whether an engine serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Serving,
    /// The journal is lost, or another owner has it: nothing more is confirmed.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
}

impl Engine {
    /// What opening the engine found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Sets what the journal calls when there is something to [`Self::pump`]; call that once afterwards.
    pub fn watch(&mut self, wake: Arc<dyn Fn() + Send + Sync>) {
        if let Some(writer) = &mut self.writer {
            writer.watch(wake);
        }
    }

    /// Takes a connection in. Its effects go to `outlet` until it is answered [`broker::Effect::Disconnected`].
    pub fn connect(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        user: ShortString,
        outlet: Arc<dyn Outlet>,
    ) {
        self.links.insert(connection, Link::new(outlet));
        self.submit(now, &mut vec![Command::Connect { connection, user }]);
    }

    /// Takes a batch of commands, all of one connection, in order.
    pub fn submit(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let Some(connection) = commands.first().map(connection_of) else { return };
        if self.failed.is_some() {
            self.submit_failed(commands);
            return;
        }
        (self.was_busy, self.may_forget) = (true, true);
        self.forget_look_at = Timestamp(now.0 + FORGET_AFTER_MS);
        // Nothing of this boot is told before it is written down that there is this boot.
        self.entry_wanted |= self.appended < self.began_at;
        self.measure_room(now, connection);
        let refusals = self.refusals();
        let mut charged = self.out.entry.bytes.len();
        for command in commands.drain(..) {
            if let Command::Disconnect { connection: ended, .. } = &command {
                // What waits of it waits no longer.
                for left in self.parked.take_of(*ended) {
                    self.take_command(now, connection, left, &mut charged);
                }
            }
            self.take_command(now, connection, command, &mut charged);
        }
        self.note_refusals(now, connection, refusals);
        self.take_output(connection);
        self.charge(connection, charged);
        self.submitting = true;
        self.send_output(now);
        self.submitting = false;
    }

    /// Takes a command of a batch. `charged` is how much of the open entry the connection was charged for.
    fn take_command(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        command: Command,
        charged: &mut usize,
    ) {
        self.handle_or_park(now, command);
        // Between two commands, since the records of one belong together: a batch of many large ones would make
        // an entry that no journal takes.
        if self.out.entry.bytes.len() >= self.settings.entry_bytes_target {
            self.charge(connection, *charged);
            self.append();
            *charged = 0;
        }
    }

    /// Looks at what the journal has done: appends the next entry, releases what became durable.
    pub fn pump(&mut self, now: Timestamp) {
        let Some(writer) = &self.writer else { return };
        match writer.state() {
            State::Durable(lsn) => self.durable = Lsn(lsn.0),
            lost => return self.fail(&lost),
        }
        // First the next write, then the effects of the last: the disk is slower than we are.
        self.look_for_room(now);
        self.commit(now);
        self.take_reads(now);
        self.release_waiting();
        self.read_missing();
        self.return_credit();
        self.push_staged();
        self.consider_checkpoint(now);
        self.forget_what_few_need(now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) {
        if self.look_at().is_some_and(|at| at <= now) {
            self.pump(now);
        }
        self.forget_what_few_need(now);
        let is_due = self.broker.next_deadline().is_some_and(|deadline| deadline <= now);
        if !is_due || self.failed.is_some() {
            return self.commit(now);
        }
        self.handle_or_park(now, Command::Tick);
        self.take_output(CLOCK);
        self.send_output(now);
    }

    /// When [`Self::tick`] wants to be called; never again once the engine has failed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.failed.is_some() {
            // What is due stays due: it would be asked for without end.
            return None;
        }
        let flush_at = if self.appended == self.durable { self.flush_at } else { None };
        [flush_at, self.look_at(), self.forget_at(), self.broker.next_deadline()].into_iter().flatten().min()
    }

    /// False while the connection has published more than may be under way: it should not be read from until its
    /// outlet is called.
    pub fn publish_credit(&mut self, connection: ConnectionId) -> bool {
        let overloaded = self.unsynced_bytes() > self.journal_window_bytes();
        let Some(link) = self.links.get_mut(&connection) else { return true };
        let unsynced = link.unsynced_bytes();
        let has_credit = link.owed_bytes() < self.settings.publish_window_bytes
            && !(overloaded && unsynced > 0)
            && !self.parked.is_full(connection);
        if !has_credit && !link.starved {
            link.starved = true;
            self.starved.push(connection);
        }
        has_credit
    }

    /// The durable state as of the last entry that was handed to the journal; nothing while more than that has happened, or
    /// while a job may have removed what has to be read for it. Costs a look at every message: for simulation and inspection.
    ///
    /// # Panics
    /// If a row of it cannot be read, and no job is under way.
    #[must_use]
    pub fn view_at_last_entry(&self) -> Option<DurableView> {
        let store = self.checkpoints.store();
        let mut runs = RunsByKey::new(&store, self.checkpoints.runs());
        let may_be_gone = self.checkpoints.is_under_way();
        let read = |want: Want| {
            let found = runs.find(&want);
            if may_be_gone { found.ok() } else { Some(found.expect("the runs are whole")) }
        };
        self.out.entry.bytes.is_empty().then(|| self.broker.durable_view_with(read)).flatten()
    }

    /// Packs the messages that nobody has, also those that will be wanted soon. For simulation: it must change nothing but memory.
    pub fn pack(&mut self) {
        self.broker.pack();
    }

    /// Lets all state leave memory that can. For simulation: it must change nothing but memory.
    pub fn evict_all(&mut self) {
        self.broker.evict(self.checkpoints.written_seal(), 0);
        drop(self.broker.take_left());
    }

    /// The queues that hand nothing out because something of theirs cannot be read, with the reasons.
    pub fn halted_queues(&self) -> impl Iterator<Item = (&ShortString, &str)> {
        self.broker.halted_queues()
    }

    /// Lets go of the memory that only a busy vhost makes use of, if nothing was submitted since this was last called: bodies are
    /// read back from the journal when somebody wants them. To be called every few seconds.
    pub fn rest(&mut self) {
        let was_busy = std::mem::take(&mut self.was_busy);
        if !was_busy && self.is_quiet() {
            self.let_go_of_memory();
        }
    }

    fn let_go_of_memory(&mut self) {
        self.out.entry.bytes = BytesMut::new();
        self.out.effects.shrink_to_fit();
        self.bodies.rest();
        self.checkpoints.rest();
    }

    fn is_quiet(&self) -> bool {
        self.is_drained() && self.waiting.is_empty() && self.reads.is_empty()
    }

    /// Lets go of the bodies in memory when most of them are of messages that are gone: where there are a thousand vhosts, what
    /// each of them keeps counts.
    fn forget_what_few_need(&mut self, now: Timestamp) {
        if self.forget_at().is_some_and(|at| at <= now) {
            self.may_forget = false;
            let waiting_bytes = self.broker.totals().messages_bytes();
            if self.bodies.resident_bytes() > waiting_bytes * FORGOTTEN_PER_WAITING {
                self.let_go_of_memory();
            }
        }
    }

    /// When it is to be looked how many of the bodies in memory are still needed.
    fn forget_at(&self) -> Option<Timestamp> {
        (self.may_forget && self.is_quiet() && self.bodies.are_many()).then_some(self.forget_look_at)
    }

    /// Gives a table of the core to `act`, with the list of what is wanted of it. For tests: what `act` changes is in no journal, and survives
    /// only with the next checkpoint.
    pub fn with_table<Found>(
        &mut self,
        kind: TableKind,
        act: impl FnOnce(&mut Table, &mut Vec<Want>) -> Found,
    ) -> Found {
        let found = act(self.broker.table(kind), &mut self.out.wants);
        self.take_wants();
        found
    }

    /// Whether the engine serves.
    #[must_use]
    pub fn health(&self) -> Health {
        match &self.failed {
            None => Health::Serving,
            Some(reason) => Health::Failed { reason: reason.clone() },
        }
    }

    /// Writes all that is left. Everything is durable when [`Self::is_drained`] says so.
    pub fn drain(&mut self, now: Timestamp) {
        self.entry_wanted = true;
        self.commit(now);
    }

    /// True when nothing is left to be written, or nothing can be.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.failed.is_some() || (self.out.entry.bytes.is_empty() && self.appended == self.durable)
    }

    /// Bytes that are in the open entry or on their way to the disk.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        let in_flight = self.writer.as_ref().map_or(0, |writer| writer.in_flight().bytes);
        in_flight + self.out.entry.bytes.len() as u64
    }

    /// Notes that the connection has added to the open entry what lies behind `from`.
    pub(crate) fn charge(&mut self, connection: ConnectionId, from: usize) {
        let bytes = self.out.entry.bytes.len() - from;
        let Some(link) = self.links.get_mut(&connection).filter(|_| bytes > 0) else { return };
        if link.unsynced_bytes() == 0 {
            self.indebted.push(connection);
        }
        link.charge(self.out.entry.lsn, bytes as u64);
    }

    fn submit_failed(&mut self, commands: &mut Vec<Command>) {
        for command in commands.drain(..) {
            if let Command::Disconnect { connection, .. } = command
                && let Some(mut link) = self.links.swap_remove(&connection)
            {
                link.stage(None, broker::Effect::Disconnected);
                link.push_staged();
            }
        }
    }

    /// Takes what the core has put out for this connection's commands.
    pub(crate) fn take_output(&mut self, connection: ConnectionId) {
        self.take_volatile();
        self.take_wants();
        self.route_effects(connection);
        self.release_volatile();
        self.spill();
    }

    /// Sends on its way what may go.
    pub(crate) fn send_output(&mut self, now: Timestamp) {
        if !self.out.entry.bytes.is_empty() {
            let flush_at = Timestamp(now.0 + self.idle_flush_ms());
            self.flush_at.get_or_insert(flush_at);
        }
        self.commit(now);
        self.read_missing();
        self.push_staged();
    }

    fn take_volatile(&mut self) {
        let Volatile { retained, filled, .. } = &mut self.out.volatile;
        for (block, users) in retained.drain(..) {
            self.bodies.blocks.retain(block, users);
        }
        for (block, offset, bytes) in filled.drain(..) {
            self.bodies.blocks.filled(block, offset, bytes);
        }
        if let Some((block, offset, bytes)) = self.out.volatile.take_written() {
            self.bodies.blocks.written(block, offset, bytes);
        }
    }

    fn release_volatile(&mut self) {
        for place in self.out.volatile.released.drain(..) {
            if let Home::Volatile(block) = place.home() {
                self.bodies.blocks.release(block);
            }
        }
    }

    /// Sends each effect on its way: staged if nothing holds it up, else into its session's line.
    fn route_effects(&mut self, connection: ConnectionId) {
        let mut effects = std::mem::take(&mut self.out.effects);
        let mut wanted = false;
        for addressed in effects.drain(..) {
            wanted |= addressed.after == self.out.entry.lsn;
            self.route(addressed);
        }
        self.out.effects = effects;
        if wanted {
            self.entry_wanted = true;
            self.lone.wanted_by(connection);
        }
    }

    fn fail(&mut self, state: &State) {
        match state {
            State::Durable(_) => {}
            State::Fenced { by } => self.fail_with(format!(
                "another owner (epoch {}) has taken the journal over; nothing more is confirmed here",
                by.0
            )),
            State::Lost { durable, submitted, reason } => self.fail_with(format!(
                "the journal is lost: {reason}. Entries up to {} are safe, those up to {} are in doubt, and nothing \
                 more is confirmed. Mend the disk and start again: the start reads back what is there",
                durable.0, submitted.0
            )),
        }
    }

    /// Stops serving, for good: nothing that waits is released, nothing more is taken.
    pub(crate) fn fail_with(&mut self, reason: String) {
        if self.failed.is_some() {
            return;
        }
        tracing::error!("{reason}");
        self.failed = Some(reason);
        for link in self.links.values_mut() {
            link.waiting.clear();
            link.staged.clear();
            link.outlet.push(&mut Vec::new());
        }
        self.waiting.clear();
        self.touched.clear();
        self.starved.clear();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("durable", &self.durable)
            .field("appended", &self.appended)
            .finish_non_exhaustive()
    }
}

fn connection_of(command: &Command) -> ConnectionId {
    match command {
        Command::Connect { connection, .. }
        | Command::Disconnect { connection, .. }
        | Command::Sent { connection, .. } => *connection,
        Command::Session { session, .. } | Command::PublishAgain { session, .. } => session.connection,
        Command::Standalone { lane, .. } => lane.connection,
        Command::Tick => CLOCK,
    }
}

/// What the release of an effect needs to know of it beside the effect.
pub(crate) fn block_of(addressed: &Addressed) -> Option<u64> {
    match addressed.effect.message()?.place.home() {
        Home::Volatile(block) => Some(block),
        Home::Entry(_) => None,
    }
}
