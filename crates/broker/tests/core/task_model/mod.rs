//! Tasks under anything that can happen to them, in any order: what must never happen, does not.
//!
//! Nothing here is random: the tests draw events out of random bytes, the fuzz target `core_tasks` out of better ones.

mod event;

use std::collections::{BTreeMap, BTreeSet};

use broker::{
    Addressed, Answer, Complete, ConnectionId, Effect, Enqueue, Envelope, Fail, IdempotencyKey, Lease,
    LeaseId, Operation, Outcome, Recipient, SessionId, Settlement, Standalone, TaskId, TaskState, Until,
};
use field_table::{ShortString, Value};
use message_properties::Properties;

pub(crate) use self::event::Event;
use self::event::{Options, Queue, Step};
use crate::choices::Choices;
use crate::world::{World, name};

/// Events that come out of bytes: more would find little more, and slowly.
const EVENTS_MAX: usize = 100;

/// Lets the events happen that these bytes are.
pub(crate) fn check_bytes(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut events = Vec::new();
    while !choices.is_empty() && events.len() < EVENTS_MAX {
        events.push(Event::decode(&mut choices));
    }
    check(events);
}

/// Lets events happen, and then all come to an end.
pub(crate) fn check(events: Vec<Event>) {
    let mut run = Run::new();
    for event in events {
        run.happen(event);
    }
    run.settle_down();
}

/// The world, and what its clients remember.
struct Run {
    world: World,
    tasks: Vec<TaskId>,
    leases: Vec<LeaseId>,
    /// How each task ended, as somebody was first told.
    ends: BTreeMap<TaskId, TaskState>,
    epochs: BTreeMap<TaskId, u64>,
    /// Requests that wait for the end of a task.
    watches: BTreeMap<u64, Option<TaskId>>,
    /// Requests that wait for tasks of a queue.
    pulls: BTreeMap<u64, &'static str>,
    /// The client that consumes, of a connection of its own, in turn with transactions and without.
    connection: u64,
    is_refused: bool,
    is_transactional: bool,
    consumers: u64,
    consuming: BTreeMap<ShortString, Consumer>,
    requests: u64,
}

/// A consumer, as its client knows it.
struct Consumer {
    queue: &'static str,
    no_ack: bool,
    /// What may still be unsettled.
    unacked: BTreeSet<u64>,
}

/// Requests that look at tasks.
const LOOK: u64 = 50_000;
/// The connection of requests.
const REQUESTS: u64 = 100;

impl Run {
    fn new() -> Self {
        let mut world = World::new();
        for queue in Queue::ALL {
            let declare = world.on(1).declare_queue(queue.name(), |declare| {
                declare.arguments.insert(name("x-task-queue"), Value::Bool(true));
                if let Queue::Small = queue {
                    declare.arguments.insert(name("x-max-length"), Value::I64(2));
                }
            });
            declare.deaf();
        }
        world.on(1).declare("done").deaf();
        Self {
            world,
            tasks: Vec::new(),
            leases: Vec::new(),
            ends: BTreeMap::new(),
            epochs: BTreeMap::new(),
            watches: BTreeMap::new(),
            pulls: BTreeMap::new(),
            connection: REQUESTS + 1,
            is_refused: false,
            is_transactional: false,
            consumers: 0,
            consuming: BTreeMap::new(),
            requests: 0,
        }
    }

    fn happen(&mut self, event: Event) {
        self.act(event);
        self.listen();
        if self.is_refused {
            self.leave(false);
            self.listen();
        }
        self.check();
    }

    fn act(&mut self, event: Event) {
        match event {
            Event::Enqueue { queue, options, expects_reply, watch } => {
                self.enqueue(queue, &options, expects_reply, watch);
            }
            Event::Publish { queue, options } => {
                let envelope = asking(queue, &options);
                self.world.on(1).publish_with("", "", "", |publish| publish.envelope = envelope).deaf();
            }
            Event::Lease { queue, max, wait } => {
                let (queue, worker) = (queue.name(), name("w"));
                let lease = Lease { queue: name(queue), max, lease_ms: 30_000, worker, wait };
                self.pulls.insert(self.requests + 1, queue);
                self.ask(Standalone::Lease(lease));
            }
            Event::Complete { lease, next } => self.with_lease(lease, |lease| {
                let result = Some(message("", "result"));
                let publish = next.map(|queue| message(queue.name(), "next")).into_iter().collect();
                Standalone::Complete(Complete { lease, status: None, result, publish })
            }),
            Event::Fail { lease, retry } => self.with_lease(lease, |lease| {
                let error = message("", "error");
                Standalone::Fail(Fail { lease, status: None, error, retry, delay_ms: None })
            }),
            Event::Release(at) => self.with_lease(at, |lease| Standalone::Release { lease, delay_ms: 0 }),
            Event::Extend(at) => {
                self.with_lease(at, |lease| Standalone::Extend { lease, lease_ms: None, progress: None });
            }
            Event::Reply { lease, error } => {
                if let Some(reply) = self.reply(lease, error) {
                    self.world.on(1).publish_with("", "", "", |publish| publish.envelope = reply).deaf();
                }
            }
            Event::Cancel(at) => {
                if let Some(task) = pick(&self.tasks, at) {
                    self.ask(Standalone::Cancel { task });
                }
            }
            Event::Watch(at) => {
                if let Some(task) = pick(&self.tasks, at) {
                    self.watches.insert(self.requests + 1, Some(task));
                    self.ask(Standalone::Watch { task, until: Until::Ended, with_result: true });
                }
            }
            Event::Purge(queue) => {
                self.world.on(1).purge(queue.name()).deaf();
            }
            Event::Wait(ms) => self.world.wait(ms),
            Event::Oversleep(ms) => self.world.oversleep(ms),
            Event::Restart { from_checkpoint } => self.restart(from_checkpoint),
            Event::Disconnect => self.leave(true),
            Event::Close => self.leave(false),
            Event::Consume { .. }
            | Event::Get { .. }
            | Event::Settle { .. }
            | Event::Recover
            | Event::Transact(..) => self.act_as_client(event),
        }
    }

    /// What happens on the session of the client that consumes.
    fn act_as_client(&mut self, event: Event) {
        let client = self.connection;
        match event {
            Event::Consume { queue, no_ack } => {
                self.consumers += 1;
                let tag = format!("c{}", self.consumers);
                let consumer = Consumer { queue: queue.name(), no_ack, unacked: BTreeSet::new() };
                self.consuming.insert(name(&tag), consumer);
                let session = self.world.on(client).prefetch(2);
                if no_ack {
                    session.consume_no_ack(queue.name(), &tag).deaf();
                } else {
                    session.consume(queue.name(), &tag).deaf();
                }
            }
            Event::Get { queue, no_ack } => {
                self.world.on(client).operate(Operation::Get { queue: name(queue.name()), no_ack }).deaf();
            }
            Event::Settle { tag, multiple, outcome } => self.settle(tag, multiple, outcome),
            Event::Recover => {
                self.world.on(client).operate(Operation::Recover).deaf();
                if !self.is_transactional {
                    self.consuming.values_mut().for_each(|consumer| consumer.unacked.clear());
                    self.listen();
                }
            }
            Event::Transact(steps, commits) => self.transact(steps, commits),
            _ => unreachable!("of another client"),
        }
    }

    fn settle(&mut self, tag: u64, multiple: bool, outcome: Outcome) {
        // What a transaction settles is unacked until it is committed.
        if !self.is_transactional {
            let is_meant = |other: u64| if multiple { other <= tag } else { other == tag };
            let consumers = self.consuming.values_mut();
            consumers.for_each(|consumer| consumer.unacked.retain(|other| !is_meant(*other)));
        }
        self.world.on(self.connection).settle(tag, multiple, outcome).deaf();
    }

    fn transact(&mut self, steps: Vec<Step>, commits: bool) {
        self.is_transactional = true;
        self.world.on(self.connection).transaction().deaf();
        for step in steps {
            let envelope = match step {
                Step::Publish(queue, options) => asking(queue, &options),
                Step::Reply(at) => match self.reply(at, false) {
                    Some(reply) => reply,
                    None => continue,
                },
                Step::Settle { tag, outcome } => {
                    self.settle(tag, false, outcome);
                    continue;
                }
            };
            self.world.on(self.connection).publish_with("", "", "", |publish| publish.envelope = envelope);
        }
        let session = self.world.on(self.connection);
        if commits {
            session.commit().deaf()
        } else {
            session.rollback().deaf()
        };
    }

    fn enqueue(&mut self, queue: Queue, options: &Options, expects_reply: bool, watch: bool) {
        let key = options.key.map(|key| IdempotencyKey {
            user: name("guest"),
            key: name(&key.to_string()),
            fingerprint: [1; 32],
        });
        let tasks = vec![asking(queue, &Options { key: None, ..options.clone() })];
        let enqueue = Enqueue { queue: name(queue.name()), tasks, expects_reply, key, watch };
        if watch {
            self.watches.insert(self.requests + 1, None);
        }
        self.ask(Standalone::Enqueue(enqueue));
    }

    fn restart(&mut self, from_checkpoint: bool) {
        if from_checkpoint {
            let world = std::mem::replace(&mut self.world, World::new());
            self.world = World::from_checkpoint(world);
        } else {
            let entries = std::mem::take(&mut self.world.entries);
            self.world = World::from_journal(entries);
        }
        self.watches.clear();
        self.pulls.clear();
        self.forget_client();
    }

    fn ask(&mut self, operation: Standalone) {
        self.requests += 1;
        assert!(self.requests < LOOK);
        self.world.request(self.requests, operation);
    }

    fn with_lease(&mut self, at: usize, operation: impl FnOnce(LeaseId) -> Standalone) {
        if let Some(lease) = pick(&self.leases, at) {
            self.ask(operation(lease));
        }
    }

    fn reply(&self, at: usize, error: bool) -> Option<Envelope> {
        let mut properties = Properties::default();
        if error {
            properties.headers = Some([(name("x-error"), Value::Bool(true))].into_iter().collect());
        }
        let address = pick(&self.leases, at)?.reply_address();
        Some(Envelope::new(b"", &address, &properties.to_bytes(), b"reply"))
    }

    fn leave(&mut self, lost: bool) {
        self.world.on(self.connection).deaf();
        if lost {
            self.world.disconnect(self.connection);
        } else {
            self.world.on(self.connection).close().deaf();
        }
        self.forget_client();
    }

    fn forget_client(&mut self) {
        self.connection += 1;
        (self.is_refused, self.is_transactional) = (false, false);
        self.consuming.clear();
    }

    fn client(&self) -> SessionId {
        SessionId { connection: ConnectionId(self.connection), channel: 1 }
    }

    /// Notes what clients were told.
    fn listen(&mut self) {
        for Addressed { to, effect, .. } in std::mem::take(&mut self.world.effects) {
            match effect {
                Effect::Leased { grant, .. } => {
                    self.leases.push(grant.lease);
                    self.note_epoch(grant.task.id, grant.task.epoch);
                }
                Effect::Deliver { task, consumer_tag, delivery_tag, .. } => {
                    let task = task.expect("all queues that are consumed are of tasks");
                    self.leases.push(task.lease);
                    self.note_epoch(task.task, task.epoch);
                    let consumer = self.consuming.get_mut(&consumer_tag).filter(|consumer| !consumer.no_ack);
                    consumer.into_iter().for_each(|consumer| {
                        consumer.unacked.insert(delivery_tag);
                    });
                }
                Effect::Got { task, .. } => {
                    let task = task.expect("all queues that are consumed are of tasks");
                    self.leases.push(task.lease);
                    self.note_epoch(task.task, task.epoch);
                }
                Effect::Refused { request, .. } => match to {
                    Recipient::Session(id) if id.connection.0 == REQUESTS => {
                        self.watches.remove(&request.0);
                    }
                    _ => self.is_refused |= to == Recipient::Session(self.client()),
                },
                Effect::Answered { request, answer: Answer::Enqueued { tasks, .. } } => {
                    assert_eq!(tasks.len(), 1, "also of a repeated request");
                    self.tasks.push(tasks[0].id);
                    self.watches.entry(request.0).and_modify(|watched| *watched = Some(tasks[0].id));
                }
                Effect::Answered { request, answer: Answer::LeasesGranted { .. } } => {
                    assert!(self.pulls.remove(&request.0).is_some(), "answered twice");
                }
                Effect::Answered { answer: Answer::Settled(settlement), .. } => self.note_end(&settlement),
                Effect::Task { request, view, .. } => {
                    assert!(view.state.is_final());
                    assert_eq!(
                        self.watches.remove(&request.0),
                        Some(Some(view.id)),
                        "request {}, and once",
                        request.0
                    );
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
        let states = self.look();
        let count = |state| states.values().filter(|other| **other == state).count() as u64;
        assert!(totals.messages_ready >= count(TaskState::Ready), "{totals:?} {states:?}");
        assert!(totals.tasks_scheduled >= count(TaskState::Scheduled), "{totals:?} {states:?}");
        assert!(totals.tasks_failed >= count(TaskState::Failed), "{totals:?} {states:?}");
        assert_eq!(totals.tasks as usize, live.tasks.len());
        let held = totals.messages_unacked + totals.tasks_scheduled + totals.tasks_failed;
        let messages: usize = live.queues.iter().map(|queue| queue.messages.len()).sum();
        assert_eq!(totals.messages_ready + held, messages as u64, "every message is somewhere, once");
        let distinct: BTreeSet<_> = self.leases.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), self.leases.len(), "no lease is given twice");
        for (request, task) in &self.watches {
            let state = task.and_then(|task| states.get(&task));
            assert!(state.is_some_and(|state| !state.is_final()), "{request} waits for {state:?}");
        }
        self.check_that_nobody_waits_in_vain();
    }

    /// What the tasks are that are still known.
    fn look(&mut self) -> BTreeMap<TaskId, TaskState> {
        let mut states = BTreeMap::new();
        for task in self.tasks.clone() {
            self.world.request(LOOK, Standalone::Watch { task, until: Until::Now, with_result: true });
            for addressed in std::mem::take(&mut self.world.effects) {
                if let Effect::Task { view, .. } = addressed.effect {
                    states.insert(task, view.state);
                    let told = self.ends.get(&task).copied();
                    assert!(told.is_none_or(|told| told == view.state), "{told:?} became {:?}", view.state);
                    if view.state.is_final() {
                        self.ends.insert(task, view.state);
                    }
                }
            }
        }
        states
    }

    /// Where tasks are ready, nobody waits for a lease, and no consumer that has nothing.
    fn check_that_nobody_waits_in_vain(&mut self) {
        for queue in Queue::ALL.map(Queue::name) {
            self.world.request(LOOK, Standalone::DescribeQueue { name: name(queue) });
            let report = std::mem::take(&mut self.world.effects).pop().map(|addressed| addressed.effect);
            let Some(Effect::Answered { answer: Answer::Queue(report), .. }) = report else {
                panic!("no report of {queue}: {report:?}")
            };
            let idle = self.consuming.values().filter(|consumer| consumer.unacked.is_empty());
            let idle = idle.map(|consumer| consumer.queue).chain(self.pulls.values().copied());
            let idle = idle.filter(|other| *other == queue).count();
            assert!(report.ready == 0 || idle == 0, "{idle} wait for {} ready tasks", report.ready);
        }
    }

    /// All clients leave, and what is left is done: nothing stays with nobody, and in the end nothing stays at all.
    fn settle_down(&mut self) {
        self.leave(false);
        // In case it has asked for nothing yet.
        self.ask(Standalone::DescribeQueue { name: name("jobs") });
        self.listen();
        self.world.disconnect(REQUESTS);
        self.watches.clear();
        self.pulls.clear();
        // Leases run out, retries become due. For long: a restart sets the clock back.
        for _ in 0..30 {
            self.world.wait(2_000_000_000);
            for queue in Queue::ALL {
                let (queue, worker) = (name(queue.name()), name("w"));
                self.pulls.insert(self.requests + 1, "jobs");
                self.ask(Standalone::Lease(Lease { queue, max: 1000, lease_ms: 1000, worker, wait: false }));
            }
            let before = self.leases.len();
            self.listen();
            for lease in self.leases.split_off(before) {
                let complete = Complete { lease, status: None, result: None, publish: Vec::new() };
                self.ask(Standalone::Complete(complete));
            }
            self.listen();
        }
        let unfinished: Vec<_> = self.look().into_iter().filter(|(_, state)| !state.is_final()).collect();
        assert_eq!(unfinished, [], "nobody has them and nobody gets them");
        self.world.wait(2_000_000_000);
        self.world.on(1).purge("done").deaf();
        let totals = self.world.broker.totals();
        assert_eq!((totals.tasks, totals.messages_ready, totals.messages_unacked), (0, 0, 0));
        assert_eq!(self.world.broker.next_deadline(), None);
    }
}

fn message(queue: &str, body: &str) -> Envelope {
    Envelope::new(b"", queue.as_bytes(), &Properties::default().to_bytes(), body.as_bytes())
}

fn asking(queue: Queue, options: &Options) -> Envelope {
    Envelope::new(b"", queue.name().as_bytes(), &options.properties().to_bytes(), b"job")
}

fn pick<T: Copy>(from: &[T], at: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[at % from.len()])
}
