//! Tasks under anything that can happen to them, in any order: what must never happen, does not.

use std::collections::{BTreeMap, BTreeSet};

use broker::{
    Complete, Effect, Enqueue, Envelope, Fail, Lease, LeaseId, Outcome, Settlement, Standalone, TaskId,
    TaskState, Until,
};
use field_table::Value;
use message_properties::Properties;
use proptest::prelude::*;

use crate::world::{World, name};

/// One thing that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Event {
    Enqueue { expects_reply: bool },
    Publish,
    Lease { max: u32, wait: bool },
    Complete(usize),
    Fail { lease: usize, retry: bool },
    Release(usize),
    Extend(usize),
    Reply { lease: usize, error: bool },
    Consume { no_ack: bool },
    Settle { tag: u64, outcome: Outcome },
    Disconnect,
    Close,
    Cancel(usize),
    Purge,
    Wait(u64),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![Just(Outcome::Acknowledged), Just(Outcome::Discarded), Just(Outcome::Requeued)];
    prop_oneof![
        6 => any::<bool>().prop_map(|expects_reply| Event::Enqueue { expects_reply }),
        2 => Just(Event::Publish),
        5 => (1..4u32, any::<bool>()).prop_map(|(max, wait)| Event::Lease { max, wait }),
        4 => any::<usize>().prop_map(Event::Complete),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(lease, retry)| Event::Fail { lease, retry }),
        2 => any::<usize>().prop_map(Event::Release),
        1 => any::<usize>().prop_map(Event::Extend),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(lease, error)| Event::Reply { lease, error }),
        3 => any::<bool>().prop_map(|no_ack| Event::Consume { no_ack }),
        4 => (1..6u64, outcome).prop_map(|(tag, outcome)| Event::Settle { tag, outcome }),
        1 => Just(Event::Disconnect),
        1 => Just(Event::Close),
        2 => any::<usize>().prop_map(Event::Cancel),
        1 => Just(Event::Purge),
        4 => prop_oneof![Just(500), Just(1500), Just(31_000), Just(90_000_000), Just(700_000_000)].prop_map(Event::Wait),
        1 => Just(Event::Restart),
    ]
}

/// The world, and what its clients remember.
struct Run {
    world: World,
    tasks: Vec<TaskId>,
    leases: Vec<LeaseId>,
    /// How each task ended, as somebody was first told.
    ends: BTreeMap<TaskId, TaskState>,
    epochs: BTreeMap<TaskId, u64>,
    connection: u64,
    consumers: u64,
    requests: u64,
}

const OUTCOME_REQUEST: u64 = 50_000;

impl Run {
    fn new() -> Self {
        let mut world = World::new();
        world
            .on(1)
            .declare_queue("jobs", |declare| {
                declare.arguments.insert(name("x-task-queue"), Value::Bool(true));
            })
            .deaf();
        Self {
            world,
            tasks: Vec::new(),
            leases: Vec::new(),
            ends: BTreeMap::new(),
            epochs: BTreeMap::new(),
            connection: 2,
            consumers: 0,
            requests: 0,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Enqueue { expects_reply } => {
                let tasks = vec![message("jobs", "job")];
                let enqueue = Enqueue { queue: name("jobs"), tasks, expects_reply, key: None, watch: false };
                self.ask(Standalone::Enqueue(enqueue));
            }
            Event::Publish => {
                self.world.on(1).publish("jobs", "job").deaf();
            }
            Event::Lease { max, wait } => {
                let (queue, worker) = (name("jobs"), name("w"));
                self.ask(Standalone::Lease(Lease { queue, max, lease_ms: 30_000, worker, wait }));
            }
            Event::Complete(at) => self.with_lease(at, |lease| {
                let result = Some(message("", "result"));
                Standalone::Complete(Complete { lease, status: None, result, publish: Vec::new() })
            }),
            Event::Fail { lease, retry } => self.with_lease(lease, |lease| {
                let error = message("", "error");
                Standalone::Fail(Fail { lease, status: None, error, retry, delay_ms: None })
            }),
            Event::Release(at) => self.with_lease(at, |lease| Standalone::Release { lease, delay_ms: 0 }),
            Event::Extend(at) => {
                self.with_lease(at, |lease| Standalone::Extend { lease, lease_ms: None, progress: None });
            }
            Event::Reply { lease, error } => self.reply(lease, error),
            Event::Consume { no_ack } => {
                self.consumers += 1;
                let tag = format!("c{}", self.consumers);
                let session = self.world.on(self.connection).prefetch(2);
                if no_ack { session.consume_no_ack("jobs", &tag) } else { session.consume("jobs", &tag) }
                    .deaf();
            }
            Event::Settle { tag, outcome } => {
                // An unknown tag ends the session, as it should.
                self.world.on(self.connection).settle(tag, false, outcome).deaf();
                if self.world.broker.counters().sessions_closed > 0 {
                    self.leave(false);
                }
            }
            Event::Disconnect => self.leave(true),
            Event::Close => self.leave(false),
            Event::Cancel(at) => {
                if let Some(task) = pick(&self.tasks, at) {
                    self.ask(Standalone::Cancel { task });
                }
            }
            Event::Purge => {
                self.world.on(1).purge("jobs").deaf();
            }
            Event::Wait(ms) => self.world.wait(ms),
            Event::Restart => {
                let entries = std::mem::take(&mut self.world.entries);
                self.world = World::from_journal(entries);
                self.connection += 1;
            }
        }
        self.listen();
        self.check();
    }

    fn ask(&mut self, operation: Standalone) {
        self.requests += 1;
        self.world.ask(self.requests % OUTCOME_REQUEST, operation);
    }

    fn with_lease(&mut self, at: usize, operation: impl FnOnce(LeaseId) -> Standalone) {
        if let Some(lease) = pick(&self.leases, at) {
            self.ask(operation(lease));
        }
    }

    fn reply(&mut self, at: usize, error: bool) {
        let Some(lease) = pick(&self.leases, at) else { return };
        let mut properties = Properties::default();
        if error {
            properties.headers = Some([(name("x-error"), Value::Bool(true))].into_iter().collect());
        }
        let (address, properties) = (lease.reply_address(), properties.to_bytes());
        let change = |publish: &mut broker::Publish| {
            publish.envelope = Envelope::new(b"", &address, &properties, b"reply");
        };
        self.world.on(1).publish_with("", "", "", change).deaf();
    }

    fn leave(&mut self, lost: bool) {
        self.world.on(self.connection).deaf();
        if lost {
            self.world.disconnect(self.connection);
        } else {
            self.world.on(self.connection).close().deaf();
        }
        self.connection += 1;
    }

    /// Notes what clients were told.
    fn listen(&mut self) {
        for addressed in std::mem::take(&mut self.world.effects) {
            match addressed.effect {
                Effect::Leased { grant, .. } => {
                    self.leases.push(grant.lease);
                    self.note_epoch(grant.task.id, grant.task.epoch);
                }
                Effect::Deliver { task: Some(task), .. } => {
                    self.leases.push(task.lease);
                    self.note_epoch(task.task, task.epoch);
                }
                Effect::Answered { answer: broker::Answer::Enqueued { tasks, .. }, .. } => {
                    self.tasks.extend(tasks.iter().map(|task| task.id));
                }
                Effect::Answered { answer: broker::Answer::Settled(settlement), .. } => {
                    self.note_end(&settlement)
                }
                _ => {}
            }
        }
    }

    /// Each delivery has an epoch above that of all before (promise P4).
    fn note_epoch(&mut self, task: TaskId, epoch: u64) {
        let before = self.epochs.insert(task, epoch);
        assert!(before.is_none_or(|before| before < epoch), "epoch {epoch} after {before:?}");
    }

    fn note_end(&mut self, settlement: &Settlement) {
        if settlement.state.is_final() {
            let first = *self.ends.entry(settlement.task).or_insert(settlement.state);
            assert_eq!(first, settlement.state, "a task ends once");
        }
    }

    fn check(&mut self) {
        let live = self.world.check_replay();
        let totals = self.world.broker.totals();
        let mut states = BTreeMap::new();
        for task in self.tasks.clone() {
            self.world.effects.clear();
            self.world.ask(OUTCOME_REQUEST, Standalone::Watch { task, until: Until::Now, with_result: true });
            for addressed in std::mem::take(&mut self.world.effects) {
                if let Effect::Task { view, .. } = addressed.effect {
                    *states.entry(view.state).or_insert(0) += 1;
                    let told = self.ends.get(&task).copied();
                    assert!(told.is_none_or(|told| told == view.state), "{told:?} became {:?}", view.state);
                    if view.state.is_final() {
                        self.ends.insert(task, view.state);
                    }
                }
            }
        }
        let published = |state| states.get(&state).copied().unwrap_or(0);
        assert!(totals.messages_ready >= published(TaskState::Ready), "{totals:?} {states:?}");
        assert!(totals.tasks_scheduled >= published(TaskState::Scheduled), "{totals:?} {states:?}");
        assert!(totals.tasks_failed >= published(TaskState::Failed), "{totals:?} {states:?}");
        assert_eq!(totals.tasks as usize, live.tasks.len());
        let held = totals.messages_unacked + totals.tasks_scheduled + totals.tasks_failed;
        let messages: usize = live.queues.iter().map(|queue| queue.messages.len()).sum();
        assert_eq!(totals.messages_ready + held, messages as u64, "every message is somewhere, once");
        let distinct: BTreeSet<_> = self.leases.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), self.leases.len(), "no lease is given twice");
    }
}

fn message(queue: &str, body: &str) -> Envelope {
    Envelope::new(b"", queue.as_bytes(), &Properties::default().to_bytes(), body.as_bytes())
}

fn pick<T: Copy>(from: &[T], at: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[at % from.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn tasks_end_once_and_survive_as_they_are(events in prop::collection::vec(event(), 1..60)) {
        let mut run = Run::new();
        for event in events {
            run.happen(event);
        }
    }
}
