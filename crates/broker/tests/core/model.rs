//! Random conversations against a simple model, and every one of them against its replay.
//!
//! The model does not predict who gets a message. It knows what there is, and judges each effect: a delivery must be the
//! first ready message of its queue (P5), held by nobody (P4), and marked as redelivered exactly if it was delivered before;
//! confirms count without gaps; and after every operation no message may be ready while a consumer has credit.

use std::collections::BTreeMap;

use broker::{Addressed, Broker, Effect, Operation, Outcome, Recipient, Sealed, SessionId, Settings};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{World, name, replay};

const QUEUES: [&str; 3] = ["durable", "other", "memory"];
/// Session 1 confirms, session 2 is transactional, session 3 is neither and has a prefetch of 2.
const SESSIONS: u64 = 3;
const CONFIRMING: u64 = 1;
const TRANSACTIONAL: u64 = 2;
const PREFETCHING: u64 = 3;
const PREFETCH: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Publish { session: u64, queue: usize, persistent: bool },
    PublishToAll { session: u64 },
    Get { session: u64, queue: usize },
    Consume { session: u64, queue: usize, no_ack: bool },
    Cancel { session: u64, queue: usize },
    Settle { session: u64, which: usize, multiple: bool, outcome: Outcome },
    Recover { session: u64 },
    Purge { queue: usize },
    Recreate { queue: usize },
    Commit,
    Rollback,
    Reopen { session: u64 },
    Seal,
}

#[derive(Clone, Debug)]
struct Message {
    body: String,
    persistent: bool,
    delivered: bool,
    holder: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
enum Pending {
    Publish(Vec<usize>, Message),
    Settle(Vec<u64>, Outcome),
}

#[derive(Default)]
struct Model {
    queues: [Vec<Message>; 3],
    /// (session, queue) to whether it acknowledges.
    consumers: BTreeMap<(u64, usize), bool>,
    /// (session, tag) to the queue and whether a consumer of that queue took it.
    unacked: BTreeMap<(u64, u64), (usize, bool)>,
    last_tag: BTreeMap<u64, u64>,
    pending: Vec<Pending>,
    published: u64,
    confirmed: u64,
    bodies: u64,
    /// The queue of the `Get` that is under way.
    got_from: Option<usize>,
}

fn step() -> impl Strategy<Value = Step> {
    let (session, queue) = (|| 1..=SESSIONS, || 0..QUEUES.len());
    let outcome = prop_oneof![
        4 => Just(Outcome::Acknowledged),
        1 => Just(Outcome::Discarded),
        2 => Just(Outcome::Requeued)
    ];
    prop_oneof![
        12 => (session(), queue(), any::<bool>())
            .prop_map(|(session, queue, persistent)| Step::Publish { session, queue, persistent }),
        2 => session().prop_map(|session| Step::PublishToAll { session }),
        4 => (session(), queue()).prop_map(|(session, queue)| Step::Get { session, queue }),
        3 => (session(), queue(), any::<bool>())
            .prop_map(|(session, queue, no_ack)| Step::Consume { session, queue, no_ack }),
        2 => (session(), queue()).prop_map(|(session, queue)| Step::Cancel { session, queue }),
        8 => (session(), any::<usize>(), any::<bool>(), outcome)
            .prop_map(|(session, which, multiple, outcome)| Step::Settle { session, which, multiple, outcome }),
        1 => session().prop_map(|session| Step::Recover { session }),
        1 => queue().prop_map(|queue| Step::Purge { queue }),
        1 => queue().prop_map(|queue| Step::Recreate { queue }),
        3 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => session().prop_map(|session| Step::Reopen { session }),
        1 => Just(Step::Seal),
    ]
}

impl Model {
    fn message(&mut self, persistent: bool) -> Message {
        self.bodies += 1;
        Message { body: format!("m{}", self.bodies), persistent, delivered: false, holder: None }
    }

    fn publish(&mut self, session: u64, queues: Vec<usize>, message: Message) {
        if session == TRANSACTIONAL {
            self.pending.push(Pending::Publish(queues, message));
            return;
        }
        self.published += u64::from(session == CONFIRMING);
        self.enqueue(&queues, &message);
    }

    fn enqueue(&mut self, queues: &[usize], message: &Message) {
        for queue in queues {
            self.queues[*queue].push(message.clone());
        }
    }

    fn settle(&mut self, session: u64, tags: Vec<u64>, outcome: Outcome) {
        if session == TRANSACTIONAL {
            // Out of reach of a second settlement, and still held.
            self.pending.push(Pending::Settle(tags, outcome));
            return;
        }
        self.apply(session, &tags, outcome);
    }

    fn apply(&mut self, session: u64, tags: &[u64], outcome: Outcome) {
        for tag in tags {
            let Some((queue, _)) = self.unacked.remove(&(session, *tag)) else { continue };
            let messages = &mut self.queues[queue];
            let Some(at) = messages.iter().position(|message| message.holder == Some((session, *tag))) else {
                continue;
            };
            match outcome {
                Outcome::Requeued => messages[at].holder = None,
                Outcome::Acknowledged | Outcome::Discarded => {
                    messages.remove(at);
                }
            }
        }
    }

    fn commit(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for operation in &pending {
            if let Pending::Publish(queues, message) = operation {
                self.enqueue(queues, message);
            }
        }
        for operation in &pending {
            if let Pending::Settle(tags, outcome) = operation {
                self.apply(TRANSACTIONAL, tags, *outcome);
            }
        }
    }

    /// The tags of a session that can still be settled.
    fn open_tags(&self, session: u64) -> Vec<u64> {
        let settled: Vec<u64> = self
            .pending
            .iter()
            .filter_map(|operation| match operation {
                Pending::Settle(tags, _) if session == TRANSACTIONAL => Some(tags.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let tags = self.unacked.range((session, 0)..=(session, u64::MAX)).map(|((_, tag), _)| *tag);
        tags.filter(|tag| !settled.contains(tag)).collect()
    }

    fn end_session(&mut self, session: u64) {
        if session == TRANSACTIONAL {
            self.pending.clear();
        }
        let tags: Vec<u64> =
            self.unacked.range((session, 0)..=(session, u64::MAX)).map(|(key, _)| key.1).collect();
        self.apply(session, &tags, Outcome::Requeued);
        self.consumers.retain(|(of, _), _| *of != session);
        self.last_tag.remove(&session);
        if session == CONFIRMING {
            (self.published, self.confirmed) = (0, 0);
        }
    }

    fn delete_queue(&mut self, queue: usize) {
        self.queues[queue].clear();
        self.consumers.retain(|(_, of), _| *of != queue);
        (1..=SESSIONS).for_each(|session| self.forget_consumer(session, queue));
    }

    fn hear(&mut self, world: &World, addressed: &Addressed) {
        let Recipient::Session(SessionId { connection, .. }) = addressed.to else { panic!("{addressed:?}") };
        let session = connection.0;
        match &addressed.effect {
            Effect::Deliver { consumer_tag, delivery_tag, redelivered, message, .. } => {
                let queue =
                    QUEUES.iter().position(|queue| queue.as_bytes() == consumer_tag.as_bytes()).unwrap();
                let acknowledges = self.consumers[&(session, queue)];
                let body = body(world, message);
                self.deliver(
                    session,
                    queue,
                    *delivery_tag,
                    *redelivered,
                    &body,
                    acknowledges.then_some(true),
                );
            }
            Effect::Got { request: _, delivery_tag, redelivered, message, remaining, .. } => {
                let body = body(world, message);
                let holds = |messages: &Vec<Message>| messages.iter().any(|message| message.body == body);
                let queue = self.got_from.take().expect("somebody asked");
                assert!(holds(&self.queues[queue]));
                self.deliver(session, queue, *delivery_tag, *redelivered, &body, Some(false));
                assert_eq!(*remaining, self.ready(queue).count() as u64);
            }
            Effect::Confirmed { up_to } => {
                assert!(*up_to > self.confirmed && *up_to <= self.published);
                self.confirmed = *up_to;
            }
            Effect::Answered { .. } | Effect::ConsumerCancelled { .. } => {}
            other => panic!("nobody did anything wrong, and yet: {other:?}"),
        }
    }

    fn deliver(
        &mut self,
        session: u64,
        queue: usize,
        tag: u64,
        redelivered: bool,
        body: &str,
        holds_as_consumer: Option<bool>,
    ) {
        let last = self.last_tag.entry(session).or_default();
        *last += 1;
        assert_eq!(tag, *last, "tags count from 1");
        let messages = &mut self.queues[queue];
        let at = messages.iter().position(|message| message.holder.is_none()).expect("a ready message");
        assert_eq!(messages[at].body, body, "the first ready message comes first");
        assert_eq!(messages[at].delivered, redelivered, "redelivered of {body}");
        match holds_as_consumer {
            None => {
                messages.remove(at);
            }
            Some(as_consumer) => {
                messages[at].delivered = true;
                messages[at].holder = Some((session, tag));
                self.unacked.insert((session, tag), (queue, as_consumer));
            }
        }
    }

    fn ready(&self, queue: usize) -> impl Iterator<Item = &Message> {
        self.queues[queue].iter().filter(|message| message.holder.is_none())
    }

    /// What a consumer that is gone still holds counts for nobody.
    fn forget_consumer(&mut self, session: u64, queue: usize) {
        for (_, (of, by_consumer)) in self.unacked.range_mut((session, 0)..=(session, u64::MAX)) {
            *by_consumer &= *of != queue;
        }
    }

    fn has_credit(&self, session: u64, queue: usize) -> bool {
        let held = self.unacked.range((session, 0)..=(session, u64::MAX));
        let held = held.filter(|(_, (of, by_consumer))| *of == queue && *by_consumer).count();
        session != PREFETCHING || !self.consumers[&(session, queue)] || held < PREFETCH
    }

    fn check(&self, world: &World) {
        assert_eq!(self.confirmed, self.published);
        let total =
            |of: &dyn Fn(&Message) -> bool| self.queues.iter().flatten().filter(|m| of(m)).count() as u64;
        let totals = world.broker.totals();
        assert_eq!(totals.messages_ready, total(&|message| message.holder.is_none()));
        assert_eq!(totals.messages_unacked, total(&|message| message.holder.is_some()));
        assert_eq!(totals.messages_ready_bytes + totals.messages_unacked_bytes, self.bytes());
        let is_transient = |queue: usize, message: &&Message| queue == 2 || !message.persistent;
        let transient: usize =
            (0..3).map(|q| self.queues[q].iter().filter(|m| is_transient(q, m)).count()).sum();
        // A persistent message that went to all queues is journaled also where it lies in memory.
        assert!(u64::from(world.transient_messages()) <= transient as u64);
        for (session, queue) in self.consumers.keys() {
            if self.has_credit(*session, *queue) {
                assert_eq!(self.ready(*queue).count(), 0, "{} starves session {session}", QUEUES[*queue]);
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.queues.iter().flatten().map(|message| message.body.len() as u64).sum()
    }

    /// What a restart has to find: the bodies of each durable queue.
    fn durable_bodies(&self) -> Vec<Vec<String>> {
        let persistent = |queue: &Vec<Message>| -> Vec<String> {
            queue.iter().filter(|message| message.persistent).map(|message| message.body.clone()).collect()
        };
        self.queues[..2].iter().map(persistent).collect()
    }
}

fn body(world: &World, message: &broker::StoredMessage) -> String {
    String::from_utf8(world.envelope(*message).body().to_vec()).unwrap()
}

/// A broker that begins with the rows of a checkpoint.
fn restored(sealed: &Sealed) -> Broker {
    let mut broker = Broker::new(Settings::default());
    let mut last = Vec::new();
    sealed.rows(|key, value| {
        assert!(key > &last[..], "rows come in the order of their keys");
        last = key.to_vec();
        broker.restore(key, Bytes::copy_from_slice(value)).expect("the core reads what it wrote");
    });
    broker
}

fn check(steps: &[Step], replay_every: usize) {
    let mut world = World::new();
    let mut model = Model::default();
    let mut checkpoint: Option<(Sealed, usize)> = None;
    for queue in QUEUES {
        create(&mut world, queue);
    }
    for session in 1..=SESSIONS {
        prepare(&mut world, session);
    }
    world.effects.clear();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Seal => {
                let sealed = world.broker.seal();
                assert_eq!(restored(&sealed).durable_view(), world.broker.durable_view());
                checkpoint = Some((sealed, world.entries.len()));
            }
            step => take(&mut world, &mut model, step),
        }
        for addressed in std::mem::take(&mut world.effects) {
            model.hear(&world, &addressed);
        }
        model.check(&world);
        if number % replay_every == 0 {
            check_durable(&world, &model);
        }
    }
    let view = check_durable(&world, &model);
    if let Some((sealed, position)) = checkpoint {
        let mut broker = restored(&sealed);
        replay(&mut broker, &world.entries[position..]);
        assert_eq!(broker.durable_view(), view, "a checkpoint and the tail behind it are the whole log");
        let messages: usize = view.queues.iter().map(|queue| queue.messages.len()).sum();
        assert_eq!(broker.totals().messages_ready, messages as u64);
    }
}

fn check_durable(world: &World, model: &Model) -> broker::DurableView {
    let view = world.check_replay();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for queue in &view.queues {
        let bodies = queue.messages.iter().map(|message| {
            body(world, &broker::StoredMessage { place: message.place, stored_bytes: message.stored_bytes })
        });
        found.insert(queue.definition.name.to_string(), bodies.collect());
    }
    let durable = model.durable_bodies();
    assert_eq!((&found["durable"], &found["other"], found.len()), (&durable[0], &durable[1], 2));
    view
}

fn create(world: &mut World, queue: &str) {
    world.on(9).declare_queue(queue, |declare| declare.durable = queue != "memory").bind(
        "amq.fanout",
        "",
        queue,
    );
}

fn prepare(world: &mut World, session: u64) {
    match session {
        CONFIRMING => world.on(session).confirm(),
        TRANSACTIONAL => world.on(session).transaction(),
        _ => world.on(session).prefetch(PREFETCH as u16),
    };
}

fn take(world: &mut World, model: &mut Model, step: &Step) {
    match *step {
        Step::Publish { session, queue, persistent } => {
            let message = model.message(persistent);
            let body = message.body.clone();
            model.publish(session, vec![queue], message);
            world
                .on(session)
                .publish_with("", QUEUES[queue], &body, |publish| publish.persistent = persistent);
        }
        Step::PublishToAll { session } => {
            let message = model.message(true);
            let body = message.body.clone();
            model.publish(session, vec![0, 1, 2], message);
            world.on(session).publish_to("amq.fanout", "", &body);
        }
        Step::Get { session, queue } => {
            model.got_from = Some(queue);
            world.on(session).get(QUEUES[queue]);
        }
        Step::Consume { session, queue, no_ack } => {
            if model.consumers.contains_key(&(session, queue)) {
                return;
            }
            model.consumers.insert((session, queue), !no_ack);
            let queue = QUEUES[queue];
            world.on(session).consume_with(queue, queue, |consume| consume.no_ack = no_ack);
        }
        Step::Cancel { session, queue } => {
            model.consumers.remove(&(session, queue));
            model.forget_consumer(session, queue);
            world.on(session).cancel(QUEUES[queue]);
        }
        Step::Settle { session, which, multiple, outcome } => {
            let open = model.open_tags(session);
            if open.is_empty() {
                return;
            }
            let at = which % open.len();
            let tags = if multiple { open[..=at].to_vec() } else { vec![open[at]] };
            model.settle(session, tags, outcome);
            world.on(session).settle(open[at], multiple, outcome);
        }
        Step::Recover { session } => {
            let tags = model.open_tags(session);
            model.apply(session, &tags, Outcome::Requeued);
            world.on(session).operate(Operation::Recover);
        }
        Step::Purge { queue } => {
            model.queues[queue].retain(|message| message.holder.is_some());
            world.on(9).purge(QUEUES[queue]);
        }
        Step::Recreate { queue } => {
            model.delete_queue(queue);
            world.on(9).operate(Operation::DeleteQueue {
                name: name(QUEUES[queue]),
                if_unused: false,
                if_empty: false,
            });
            create(world, QUEUES[queue]);
        }
        Step::Commit => {
            model.commit();
            world.on(TRANSACTIONAL).commit();
        }
        Step::Rollback => {
            model.pending.clear();
            world.on(TRANSACTIONAL).rollback();
        }
        Step::Reopen { session } => {
            model.end_session(session);
            world.on(session).reopen();
            prepare(world, session);
        }
        Step::Seal => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_conversations_agree_with_the_model_and_with_their_replay(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        check(&steps, 7);
    }
}

/// Enough of the same to cross the borders of pages, and of volatile blocks.
#[test]
fn a_long_conversation_agrees_with_the_model_and_with_its_replay() {
    let mut steps = Vec::new();
    for round in 0..3usize {
        for number in 0..600 {
            let (queue, persistent) = (number % 2, number % 5 != 0);
            steps.push(Step::Publish { session: 1, queue, persistent });
            if number % 3 == 0 {
                steps.push(Step::Get { session: 3, queue });
            }
            if number % 97 == 0 {
                steps.push(Step::Settle {
                    session: 3,
                    which: number,
                    multiple: round == 1,
                    outcome: Outcome::Acknowledged,
                });
            }
        }
        steps.push(Step::Seal);
        steps.push(Step::Recover { session: 3 });
        steps.extend((0..1000).map(|number| Step::Get { session: 2, queue: number % 2 }));
        steps.push(Step::Settle { session: 2, which: 900, multiple: true, outcome: Outcome::Acknowledged });
        steps.push(if round == 1 { Step::Rollback } else { Step::Commit });
        steps.push(Step::Seal);
        steps.push(Step::Reopen { session: 2 });
    }
    check(&steps, 1000);
}
