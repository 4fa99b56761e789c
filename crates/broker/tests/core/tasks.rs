//! Tasks: messages that are followed from their acceptance to their result.

use broker::{
    Answer, Complete, Effect, Enqueue, Envelope, Fail, IdempotencyKey, Lease, LeaseId, Outcome, Standalone,
    TaskId, TaskState, Until,
};
use bytes::Bytes;
use field_table::{ShortString, Table, Value};
use message_properties::Properties;

use crate::world::{World, name};

pub(crate) fn world() -> World {
    let mut world = World::new();
    declare(&mut world, "jobs", &[]);
    world
}

pub(crate) fn declare(world: &mut World, queue: &str, arguments: &[(&'static str, Value)]) {
    world
        .on(1)
        .declare_queue(queue, |declare| {
            declare.arguments.insert(name("x-task-queue"), Value::Bool(true));
            for (argument, value) in arguments {
                declare.arguments.insert(name(argument), value.clone());
            }
        })
        .hears(&["declared 0/0"]);
}

pub(crate) fn headers(entries: &[(&'static str, Value)]) -> Properties {
    let headers: Table =
        entries.iter().map(|(key, value)| (ShortString::from_static(key), value.clone())).collect();
    Properties { headers: Some(headers), ..Properties::default() }
}

pub(crate) fn envelope(queue: &str, properties: &Properties, body: &str) -> Envelope {
    Envelope::new(b"", queue.as_bytes(), &properties.to_bytes(), body.as_bytes())
}

pub(crate) fn enqueue_with(
    properties: &Properties,
    body: &str,
    change: impl FnOnce(&mut Enqueue),
) -> Standalone {
    let tasks = vec![envelope("jobs", properties, body)];
    let mut enqueue = Enqueue { queue: name("jobs"), tasks, expects_reply: true, key: None, watch: false };
    change(&mut enqueue);
    Standalone::Enqueue(enqueue)
}

pub(crate) fn enqueue(body: &str) -> Standalone {
    enqueue_with(&Properties::default(), body, |_| ())
}

pub(crate) fn call(body: &str) -> Standalone {
    enqueue_with(&Properties::default(), body, |enqueue| enqueue.watch = true)
}

pub(crate) fn lease(max: u32, wait: bool) -> Standalone {
    let worker = name("host-1");
    Standalone::Lease(Lease { queue: name("jobs"), max, lease_ms: 30_000, worker, wait })
}

pub(crate) fn complete(lease: LeaseId, body: &str) -> Standalone {
    let result = Some(envelope("", &Properties::default(), body));
    Standalone::Complete(Complete { lease, status: None, result, publish: Vec::new() })
}

pub(crate) fn fail(lease: LeaseId, retry: bool) -> Standalone {
    let error = envelope("", &Properties::default(), "font missing");
    Standalone::Fail(Fail { lease, status: None, error, retry, delay_ms: None })
}

pub(crate) fn key(text: &str, fingerprint: u8) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { user: name("guest"), key: name(text), fingerprint: [fingerprint; 32] })
}

impl World {
    /// The leases, by HTTP or by delivery, that were handed out since this was last asked.
    pub(crate) fn leases(&mut self) -> Vec<LeaseId> {
        let effects = std::mem::take(&mut self.effects);
        let lease = |effect: &Effect| match effect {
            Effect::Leased { grant, .. } => Some(grant.lease),
            Effect::Deliver { task: Some(task), .. } | Effect::Got { task: Some(task), .. } => {
                Some(task.lease)
            }
            _ => None,
        };
        effects.iter().filter_map(|addressed| lease(&addressed.effect)).collect()
    }

    pub(crate) fn only_lease(&mut self) -> LeaseId {
        let leases = self.leases();
        assert_eq!(leases.len(), 1, "leases handed out");
        leases[0]
    }

    /// Ids of the tasks that were enqueued since this was last asked.
    pub(crate) fn task_ids(&mut self) -> Vec<TaskId> {
        let effects = std::mem::take(&mut self.effects);
        let ids = |effect: &Effect| match effect {
            Effect::Answered { answer: Answer::Enqueued { tasks, .. }, .. } => {
                tasks.iter().map(|task| task.id).collect()
            }
            _ => Vec::new(),
        };
        effects.iter().flat_map(|addressed| ids(&addressed.effect)).collect()
    }

    pub(crate) fn look(&mut self, task: TaskId) -> Vec<String> {
        self.ask(99, Standalone::Watch { task, until: Until::Now, with_result: true })
    }

    /// A crash of the broker: what is journaled is all that is left.
    pub(crate) fn restart(self) -> Self {
        let entries = self.entries.clone();
        World::from_journal(entries)
    }

    pub(crate) fn reply(&mut self, connection: u64, to: LeaseId, properties: &Properties, body: &str) {
        let address = to.reply_address();
        let properties = properties.to_bytes();
        self.on(connection).publish_with("", "", body, |publish| {
            publish.envelope = Envelope::new(b"", &address, &properties, body.as_bytes());
        });
    }
}

#[test]
fn an_unchanged_rpc_worker_answers_a_caller() {
    let mut world = world();
    world.on(2).consume("jobs", "w").hears(&["started w"]);
    assert_eq!(world.ask(1, call("hi")), ["enqueued ready 0/0"]);
    world.on(2).hears(&["w#1 hi"]);
    let lease = world.only_lease();
    world.reply(2, lease, &Properties::default(), "HI");
    assert_eq!(world.hear(1), ["succeeded 200 0/0 HI"]);
    world.on(2).ack(1).hears::<&str>(&[]);
    assert_eq!(world.broker.counters().task_settlements_late, 0, "the ack behind the reply is no mishap");
    assert_eq!(world.broker.totals().messages_ready + world.broker.totals().messages_unacked, 0);
}

#[test]
fn a_reply_counts_once_and_a_late_one_is_unroutable() {
    let mut world = world();
    world.on(2).confirm().consume("jobs", "w").deaf();
    world.ask(1, call("hi"));
    let lease = world.only_lease();
    world.reply(2, lease, &Properties::default(), "first");
    world.reply(2, lease, &Properties::default(), "second");
    world.on(2).hears(&["w#1 hi", "confirmed 1", "confirmed 2"]);
    assert_eq!(world.hear(1), ["succeeded 200 0/0 first"]);
    let address = lease.reply_address();
    world.on(2).publish_with("", "", "third", |publish| {
        publish.envelope = Envelope::new(b"", &address, b"\0\0", b"third");
        publish.mandatory = true;
    });
    world.on(2).hears(&["returned third", "confirmed 3"]);
}

#[test]
fn an_ack_alone_ends_a_task_and_waits_a_moment_where_a_reply_is_expected() {
    let mut world = world();
    world.on(2).consume("jobs", "w").deaf();
    world.on(1).publish("jobs", "plain");
    world.on(2).ack(1);
    assert_eq!(world.broker.counters().tasks_succeeded, 1);
    world.ask(1, call("asked"));
    world.on(2).ack(2);
    assert_eq!(world.hear(1), [""; 0]);
    world.wait(999);
    assert_eq!(world.hear(1), [""; 0]);
    world.wait(2);
    assert_eq!(world.hear(1), ["succeeded 204 0/0"]);
}

#[test]
fn a_reply_behind_the_ack_still_counts() {
    let mut world = world();
    world.on(2).consume("jobs", "w").deaf();
    world.ask(1, call("asked"));
    let lease = world.only_lease();
    world.on(2).ack(1);
    world.reply(3, lease, &Properties::default(), "answer");
    assert_eq!(world.hear(1), ["succeeded 200 0/0 answer"]);
}

#[test]
fn a_consumer_without_acks_has_a_task_until_its_reply() {
    let mut world = world();
    world.on(2).consume_no_ack("jobs", "w").deaf();
    world.ask(1, call("asked"));
    let lease = world.only_lease();
    world.disconnect(2);
    world.on(3).consume_no_ack("jobs", "w").hears(&["started w", "w#1 asked again"]);
    let second = world.only_lease();
    world.reply(3, lease, &Properties::default(), "of a ghost");
    world.reply(3, second, &Properties::default(), "answer");
    assert_eq!(world.hear(1), ["succeeded 200 0/1 answer"]);
    world.on(1).publish("jobs", "nobody asks");
    world.on(3).hears(&["w#2 nobody asks"]);
    assert_eq!(world.broker.counters().tasks_succeeded, 2);
}

#[test]
fn workers_by_lease_take_keep_and_settle() {
    let mut world = world();
    assert_eq!(world.ask(1, lease(10, false)), ["granted 0"]);
    assert_eq!(world.ask(2, lease(2, true)), [""; 0]);
    assert_eq!(world.ask(3, call("one")), ["enqueued ready 0/0"]);
    assert_eq!(world.hear(2), ["leased one crashes 0", "granted 1"]);
    let held = world.only_lease();
    let progress = Some(Bytes::from_static(b"{\"done\":1}"));
    let extend = Standalone::Extend { lease: held, lease_ms: None, progress };
    world.wait(29_000);
    assert_eq!(world.ask(4, extend), ["extended, cancelled false"]);
    world.wait(29_000);
    assert_eq!(world.ask(5, complete(held, "done")), ["settled succeeded"]);
    assert_eq!(world.hear(3), ["succeeded 200 0/0 done"]);
    assert_eq!(world.ask(6, complete(held, "done")), ["settled succeeded"], "repeated");
    assert_eq!(world.ask(7, fail(held, true)), ["refused: lease settled succeeded"]);
    assert_eq!(world.broker.counters().tasks_succeeded, 1);
}

#[test]
fn a_lease_that_runs_out_is_a_crash_and_three_are_the_end() {
    let mut world = world();
    let (tasks, one) = (vec!["a", "b", "c"], ["leased a crashes 1", "granted 1"]);
    for body in tasks {
        world.ask(1, enqueue(body));
    }
    assert_eq!(world.ask(2, lease(1, false)), ["leased a crashes 0", "granted 1"]);
    let first = world.only_lease();
    world.wait(30_001);
    assert_eq!(world.ask(3, complete(first, "late")), ["refused: lease lost ready"]);
    assert_eq!(world.ask(4, lease(10, false)), one, "alone, for what it has done");
    world.wait(30_001);
    assert_eq!(world.ask(5, lease(1, false)), ["leased a crashes 2", "granted 1"]);
    world.wait(30_001);
    assert_eq!(world.broker.counters().tasks_failed, 1);
    assert_eq!(world.ask(6, lease(10, false)), ["leased b crashes 0", "leased c crashes 0", "granted 2"]);
}

#[test]
fn a_failed_attempt_is_tried_again_with_back_off_until_it_was_the_last() {
    let mut world = world();
    let twice = headers(&[("x-max-attempts", Value::I64(2))]);
    world.ask(1, enqueue_with(&twice, "job", |enqueue| enqueue.watch = true));
    world.ask(2, lease(1, true));
    let held = world.only_lease();
    assert_eq!(world.ask(3, fail(held, true)), ["settled scheduled"]);
    assert_eq!(world.ask(4, fail(held, true)), ["settled scheduled"], "repeated");
    assert_eq!(world.ask(5, lease(1, false)), ["granted 0"]);
    world.wait(1001);
    assert_eq!(world.ask(6, lease(1, false)), ["leased job crashes 0", "granted 1"]);
    let held = world.only_lease();
    assert_eq!(world.ask(7, fail(held, true)), ["settled failed"]);
    assert_eq!(world.hear(1), ["failed 500 2/0 font missing"]);
}

#[test]
fn rejects_and_nacks_are_attempts() {
    let mut world = world();
    world.on(2).consume("jobs", "w").deaf();
    world.on(1).publish("jobs", "one").publish("jobs", "two");
    world.on(2).settle(1, false, Outcome::Discarded).settle(2, false, Outcome::Requeued).deaf();
    assert_eq!(world.broker.counters().tasks_failed, 1);
    assert_eq!(world.broker.counters().task_retries, 1);
    world.wait(1001);
    world.on(2).hears(&["w#3 two again"]);
}

#[test]
fn a_lost_connection_blames_the_oldest_delivery_and_a_closed_one_blames_none() {
    let mut world = world();
    world.on(2).consume("jobs", "w").deaf();
    for body in ["one", "two"] {
        world.ask(1, enqueue(body));
    }
    let ids = world.task_ids();
    world.disconnect(2);
    assert_eq!(world.look(ids[0]), ["ready 0/1"]);
    assert_eq!(world.look(ids[1]), ["ready 0/0"]);
    world.on(3).consume("jobs", "w").hears(&["started w", "w#1 one again", "w#2 two again"]);
    world.on(3).close().deaf();
    assert_eq!(world.look(ids[0]), ["ready 0/1"]);
    assert_eq!(world.look(ids[1]), ["ready 0/0"]);
}

#[test]
fn a_repeated_key_is_the_same_task() {
    let mut world = world();
    let keyed = |fingerprint| {
        enqueue_with(&Properties::default(), "job", |enqueue| enqueue.key = key("k", fingerprint))
    };
    assert_eq!(world.ask(1, keyed(1)), ["enqueued ready 0/0"]);
    let first = world.task_ids();
    assert_eq!(world.ask(2, keyed(1)), ["enqueued ready 0/0 again"]);
    assert_eq!(world.task_ids(), first);
    assert!(world.ask(3, keyed(2))[0].starts_with("refused: KeyReused"));
    let mut world = world.restart();
    assert_eq!(world.ask(4, keyed(1)), ["enqueued ready 0/0 again"]);
    assert_eq!(world.task_ids(), first);
    world.wait(24 * 3_600_000 + 1000);
    assert_eq!(world.ask(5, keyed(1)), ["enqueued ready 0/0"], "a day later it is new");
}

#[test]
fn a_repeated_key_of_a_publish_is_confirmed_and_not_enqueued() {
    let mut world = world();
    let keyed = headers(&[("x-idempotency-key", Value::text("order-1"))]);
    let publish = |world: &mut World| {
        world.on(4).publish_with("", "jobs", "job", |publish| {
            publish.envelope = envelope("jobs", &keyed, "job");
        });
    };
    world.on(4).confirm().deaf();
    publish(&mut world);
    publish(&mut world);
    world.on(4).hears(&["confirmed 1", "confirmed 2"]);
    assert_eq!(world.broker.totals().messages_ready, 1);
}

#[test]
fn a_caller_over_amqp_is_answered_and_answered_again_when_it_comes_back() {
    let mut world = world();
    let reply_to = "amq.rabbitmq.reply-to.first";
    let wait_at = |world: &mut World, connection, address: &str| {
        world.on(connection).consume_with("amq.rabbitmq.reply-to", "r", |consume| {
            consume.no_ack = true;
            consume.reply_address = Some(name(address));
        });
        world.on(connection).deaf();
    };
    let ask = |world: &mut World, connection, address: &str| {
        let mut properties = headers(&[("x-idempotency-key", Value::text("k"))]);
        properties.reply_to = Some(name(address));
        properties.correlation_id = Some(name("c-1"));
        world.on(connection).publish_with("", "jobs", "question", |publish| {
            publish.envelope = envelope("jobs", &properties, "question");
        });
    };
    wait_at(&mut world, 4, reply_to);
    ask(&mut world, 4, reply_to);
    world.ask(1, lease(1, false));
    let held = world.only_lease();
    world.disconnect(4);
    let back = "amq.rabbitmq.reply-to.second";
    wait_at(&mut world, 5, back);
    ask(&mut world, 5, back);
    world.on(5).hears::<&str>(&[]);
    assert_eq!(world.ask(2, complete(held, "answer")), ["settled succeeded"]);
    world.on(5).hears(&["reply r#1 answer"]);
    ask(&mut world, 5, back);
    world.on(5).hears(&["reply r#2 answer again"]);
    assert_eq!(world.broker.counters().tasks_accepted, 1);
}

#[test]
fn a_reply_goes_to_a_queue_with_the_producers_correlation_id() {
    let mut world = world();
    world.on(1).declare("done").deaf();
    let properties = Properties {
        reply_to: Some(name("done")),
        correlation_id: Some(name("c-9")),
        ..Properties::default()
    };
    world.ask(1, enqueue_with(&properties, "job", |_| ()));
    world.ask(2, lease(1, false));
    let held = world.only_lease();
    world.ask(3, fail(held, false));
    world.on(1).get("done").hears(&["got#1 font missing, 0 left"]);
    let got = world.effects.iter().find_map(|addressed| match &addressed.effect {
        Effect::Got { message, .. } => Some(world.envelope(*message)),
        _ => None,
    });
    let got = Properties::decode(got.unwrap().properties()).unwrap();
    assert_eq!(got.correlation_id, Some(name("c-9")));
    assert_eq!(got.headers.unwrap().get(b"x-error"), Some(&Value::text("failed")));
}

#[test]
fn cancel_and_complete_exclude_each_other() {
    let mut world = world();
    world.ask(1, call("job"));
    let id = world.task_ids()[0];
    world.ask(2, lease(1, false));
    let held = world.only_lease();
    assert_eq!(world.ask(3, Standalone::Cancel { task: id }), ["cancelled cancelled 410 0/0"]);
    assert_eq!(world.hear(1), ["cancelled 410 0/0"]);
    assert_eq!(world.ask(4, complete(held, "late")), ["refused: lease lost cancelled"]);
    let extend = Standalone::Extend { lease: held, lease_ms: None, progress: None };
    assert_eq!(world.ask(5, extend), ["extended, cancelled true"]);
    assert_eq!(world.ask(6, Standalone::Cancel { task: id }), ["refused: ended cancelled"]);
    world.ask(7, enqueue("other"));
    let other = world.task_ids()[0];
    world.ask(8, lease(1, false));
    let held = world.only_lease();
    world.ask(9, complete(held, "done"));
    assert_eq!(world.ask(10, Standalone::Cancel { task: other }), ["refused: ended succeeded"]);
}

#[test]
fn what_is_published_with_a_result_is_published_wholly_or_not_at_all() {
    let mut world = world();
    declare(&mut world, "small", &[("x-max-length", Value::I64(1))]);
    world.ask(1, enqueue("job"));
    world.ask(2, lease(1, false));
    let held = world.only_lease();
    let with = |queues: &[&str]| {
        let publish = queues.iter().map(|queue| envelope(queue, &Properties::default(), "next")).collect();
        Standalone::Complete(Complete { lease: held, status: None, result: None, publish })
    };
    assert_eq!(world.ask(3, with(&["small", "nowhere"])), ["refused: no queue 'nowhere'"]);
    assert_eq!(world.ask(4, with(&["small", "small"])), ["refused: full 0/1"]);
    assert_eq!(world.broker.counters().tasks_succeeded, 0);
    assert_eq!(world.ask(5, with(&["small", "jobs"])), ["settled succeeded"]);
    assert_eq!(world.ask(6, with(&["small", "jobs"])), ["settled succeeded"], "repeated, nothing twice");
    assert_eq!(world.broker.totals().messages_ready, 2);
}

#[test]
fn a_full_queue_refuses_and_nacks() {
    let mut world = world();
    declare(&mut world, "small", &[("x-max-length", Value::I64(1))]);
    let two = |count: usize| {
        Standalone::Enqueue(Enqueue {
            queue: name("small"),
            tasks: vec![envelope("small", &Properties::default(), "job"); count],
            expects_reply: true,
            key: None,
            watch: false,
        })
    };
    assert_eq!(world.ask(1, two(2)), ["refused: full 0/1"], "all or nothing");
    assert_eq!(world.ask(2, two(1)), ["enqueued ready 0/0"]);
    world.on(4).confirm().publish("small", "more").publish("jobs", "fine");
    world.on(4).hears(&["ConfirmSelected", "rejected 1", "confirmed 2"]);
    world.on(5).transaction().publish("jobs", "one").publish("small", "two").commit();
    world.on(5).hears(&["TransactionSelected", "refused: full 1/1"]);
    assert_eq!(world.broker.totals().messages_ready, 2, "nothing of the transaction was done");
    let envelope = envelope("small", &Properties::default(), "alone");
    let publish = broker::Publish { envelope, mandatory: true, persistent: true, headers: None };
    assert_eq!(world.ask(6, Standalone::Publish(publish)), ["refused: full 1/1"]);
}

#[test]
fn a_transaction_with_a_stale_reply_does_nothing() {
    let mut world = world();
    world.on(1).declare("next").deaf();
    world.on(2).consume("jobs", "w").deaf();
    world.ask(1, enqueue("job"));
    let effects = world.effects.clone();
    let id = world.task_ids()[0];
    world.effects = effects;
    let held = world.only_lease();
    world.ask(2, Standalone::Cancel { task: id });
    world.on(3).transaction().publish("next", "follow-up");
    world.reply(3, held, &Properties::default(), "late");
    world.on(3).commit().hears(&["TransactionSelected", "refused: StaleReply"]);
    assert_eq!(world.broker.totals().messages_ready, 0);
}

#[test]
fn times_are_kept() {
    let mut world = world();
    let delayed = headers(&[("x-delay", Value::I64(5000)), ("x-deadline", Value::I64(8000))]);
    world.ask(1, enqueue_with(&delayed, "later", |_| ()));
    let id = world.task_ids()[0];
    assert_eq!(world.look(id), ["scheduled 0/0"]);
    world.wait(4900);
    assert_eq!(world.ask(2, lease(1, false)), ["granted 0"]);
    world.wait(200);
    assert_eq!(world.ask(3, lease(1, false)), ["leased later crashes 0", "granted 1"]);
    world.wait(3000);
    assert_eq!(world.look(id), ["expired 504 0/0"]);
    let impatient = Properties { expiration: Some(name("100")), ..Properties::default() };
    world.ask(4, enqueue_with(&impatient, "soon or never", |_| ()));
    let id = world.task_ids()[0];
    world.wait(101);
    assert_eq!(world.look(id), ["expired 504 0/0"]);
    world.wait(24 * 3_600_000);
    assert!(world.look(id)[0].starts_with("refused: NoSuchTask"), "results are kept for a day");
    assert_eq!(world.broker.totals().tasks, 0);
}

#[test]
fn a_restart_keeps_leases_and_results_and_returns_deliveries() {
    let mut world = world();
    for body in ["leased", "delivered", "done"] {
        world.ask(1, enqueue(body));
    }
    let ids = world.task_ids();
    world.ask(2, lease(1, false));
    let held = world.only_lease();
    world.on(2).prefetch(1).consume("jobs", "w").deaf();
    let delivered = world.only_lease();
    world.ask(3, lease(1, false));
    let done = world.only_lease();
    world.ask(4, complete(done, "result"));
    let mut world = world.restart();
    assert_eq!(world.look(ids[0]), ["running 0/0"]);
    assert_eq!(world.look(ids[1]), ["ready 0/0"], "a restart is nobody's crash");
    assert_eq!(world.look(ids[2]), ["succeeded 200 0/0 result"]);
    assert_eq!(world.ask(5, complete(done, "result")), ["settled succeeded"], "the answer was lost");
    world.reply(2, delivered, &Properties::default(), "of a ghost");
    assert_eq!(world.look(ids[1]), ["ready 0/0"]);
    world.wait(29_000);
    assert_eq!(world.ask(6, complete(held, "after all")), ["settled succeeded"]);
}

#[test]
fn a_purge_cancels_and_a_deleted_queue_takes_its_tasks_along() {
    let mut world = world();
    world.ask(1, call("one"));
    world.on(1).purge("jobs").hears(&["purged 1"]);
    assert_eq!(world.hear(1), ["cancelled 410 0/0"]);
    world.ask(2, call("two"));
    let id = world.task_ids()[1];
    world.ask(3, lease(1, false));
    assert_eq!(world.ask(4, lease(1, true)), [""; 0]);
    world.on(1).delete("jobs").hears(&["deleted 0"]);
    assert_eq!(world.hear(2), ["cancelled 410 0/0"]);
    assert_eq!(world.hear(4), ["granted 0"]);
    assert!(world.look(id)[0].starts_with("refused: NoSuchTask"));
    assert_eq!(world.broker.totals().tasks, 0);
}

#[test]
fn watchers_hear_of_changes_and_leave_nothing_behind() {
    let mut world = world();
    world.ask(1, enqueue("job"));
    let id = world.task_ids()[0];
    let changed = |since| Standalone::Watch { task: id, until: Until::Changed { since }, with_result: false };
    assert_eq!(world.ask(2, changed(u64::MAX - 1)), [""; 0]);
    assert_eq!(world.ask(3, changed(0)), [""; 0], "nothing has changed since");
    world.ask(4, lease(1, false));
    assert_eq!(world.hear(3), ["running 0/0"]);
    world.ask(5, Standalone::StopWatching { watch: broker::RequestTag(2) });
    let held = world.only_lease();
    world.ask(6, complete(held, "done"));
    assert_eq!(world.hear(2), [""; 0]);
    assert_eq!(world.look(id), ["succeeded 200 0/0 done"]);
    assert_eq!(TaskState::Succeeded.name(), "succeeded");
}
