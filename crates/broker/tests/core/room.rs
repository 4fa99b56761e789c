//! A storage that is short: messages are refused or held back, everything else goes on.

use broker::{Command, Complete, Fail, Room, Standalone};
use message_properties::Properties;

use crate::tasks::{
    call, declare as declare_tasks, enqueue, enqueue_with, envelope, key, lease, world as task_world,
};
use crate::world::{World, name};

const LOW: Room = Room { journal_bytes: 0, memory_bytes: 0, reserve_bytes: 1000, is_low: true };

/// Room for so many bytes, on a storage that is not short.
fn room(journal_bytes: u64) -> Room {
    Room { journal_bytes, ..Room::UNBOUNDED }
}

fn ample(world: &mut World) {
    world.broker.set_room(Room::UNBOUNDED);
    world.broker.unblock(&mut world.out);
    // Effects are looked at behind a command.
    world.sent(1, 0);
}

/// Messages that a restart would find in a queue.
fn kept(world: &World, queue: &str) -> usize {
    let view = world.check_replay();
    let found = view.queues.iter().find(|found| found.definition.name == name(queue));
    found.expect("the queue is durable").messages.len()
}

/// Hands in what was held back, as the owner of the core does.
fn hand_in_again(world: &mut World) {
    for held_back in std::mem::take(&mut world.out.held_back) {
        world.send(Command::PublishAgain { session: held_back.session, publish: held_back.publish });
    }
}

#[test]
fn a_confirmed_publish_is_rejected_and_its_connection_told_once() {
    let mut world = World::new();
    world.on(1).declare("q").confirm().deaf().publish("q", "first").hears(&["confirmed 1"]);
    world.broker.set_room(LOW);
    world.on(1).publish("q", "no").publish("q", "no").transient("q", "no").publish("nowhere", "lost");
    world.on(1).hears(&["rejected 2", "rejected 3", "rejected 4", "confirmed 5"]);
    assert_eq!(world.connection_hears(1), ["blocked"]);
    ample(&mut world);
    assert_eq!(world.connection_hears(1), ["unblocked"]);
    world.on(1).publish("q", "second").hears(&["confirmed 6"]);
    assert_eq!(kept(&world, "q"), 2);
    assert_eq!(world.broker.counters().publishes_without_room, 3);
}

#[test]
fn what_makes_room_is_never_refused() {
    let mut world = World::new();
    world.on(1).declare("q").declare("other").publish("q", "a").publish("q", "b").deaf();
    world.broker.set_room(LOW);
    world
        .on(1)
        .consume("q", "c")
        .ack(1)
        .declare("new")
        .exchange("x", "direct")
        .bind("x", "k", "new")
        .purge("q")
        .delete("other")
        .hears(&[
            "started c",
            "c#1 a",
            "c#2 b",
            "declared 0/0",
            "ExchangeDeclared",
            "QueueBound",
            "purged 0",
            "deleted 0",
        ]);
    assert_eq!(kept(&world, "q"), 1);
}

#[test]
fn a_transaction_is_refused_as_a_whole() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "held").get("q").transaction().deaf();
    world.broker.set_room(LOW);
    world.on(1).ack(1).publish("q", "m").commit().hears(&["refused: no room in 0"]);
    world.on(1).reopen().get("q").deaf();
    assert_eq!(kept(&world, "q"), 1, "the ack is undone with the publish");
    // One that only acknowledges makes room.
    world.at(1, 2).get("q").deaf();
    world.on(1).reopen().transaction().get("q").deaf();
    world.on(1).ack(1).commit().hears(&["Committed"]);
    assert_eq!(kept(&world, "q"), 0);
    assert_eq!(world.broker.counters().commits_without_room, 1);
}

#[test]
fn a_publish_that_nobody_confirms_is_held_back_and_comes_again_in_order() {
    let mut world = World::new();
    world.on(1).declare("q").deaf();
    world.broker.set_room(LOW);
    world.on(1).publish("q", "a").publish("q", "b").close();
    assert_eq!((world.out.held_back.len(), world.broker.counters().published), (2, 0));
    // Still nothing: they come back, in the same order.
    hand_in_again(&mut world);
    assert_eq!(world.out.held_back.len(), 2);
    ample(&mut world);
    hand_in_again(&mut world);
    world.at(2, 1).get("q").get("q").hears(&["SessionOpened", "got#1 a, 1 left", "got#2 b, 0 left"][1..]);
    let counters = world.broker.counters();
    assert_eq!((counters.published, counters.publishes_held_back, counters.dropped_without_room), (2, 4, 0));
}

/// P5: there was room for the second and not for the first, so the second came first.
#[test]
fn a_small_publish_does_not_overtake_a_large_one_that_is_held_back() {
    let mut world = World::new();
    world.on(1).declare("q");
    world.broker.set_room(room(1000));
    world.on(1).publish("q", &"x".repeat(2000)).publish("q", "small");
    assert_eq!((kept(&world, "q"), world.out.held_back.len()), (0, 2));
    world.broker.set_room(room(1000));
    hand_in_again(&mut world);
    assert_eq!((kept(&world, "q"), world.out.held_back.len()), (0, 2));
    ample(&mut world);
    hand_in_again(&mut world);
    world.on(1).deaf().consume("q", "c").hears(&[
        "started c",
        &format!("c#1 {}", "x".repeat(2000)),
        "c#2 small",
    ]);
}

#[test]
fn messages_use_the_room_up() {
    let mut world = World::new();
    world.on(1).declare("q").deaf();
    world.broker.set_room(room(1000));
    world.on(1).publish("q", &"x".repeat(400)).publish("q", "fits").publish("q", "no more");
    assert_eq!(world.out.held_back.len(), 1);
    assert_eq!(kept(&world, "q"), 2);
    assert!(world.connection_hears(1).is_empty(), "the storage is not short");
}

#[test]
fn new_tasks_are_refused_and_a_repeated_one_is_answered() {
    let mut world = task_world();
    let keyed = |world: &mut World, request| {
        world.ask(request, enqueue_with(&Properties::default(), "job", |enqueue| enqueue.key = key("k", 1)))
    };
    assert_eq!(keyed(&mut world, 1), ["enqueued ready 0/0"]);
    world.broker.set_room(LOW);
    assert_eq!(keyed(&mut world, 2), ["enqueued ready 0/0 again"]);
    assert_eq!(world.ask(3, enqueue("more")), ["refused: no room in 0"]);
    assert_eq!(world.ask(4, call("more")), ["refused: no room in 0"]);
    assert_eq!(kept(&world, "jobs"), 1);
}

/// A result ends its task, whose message is then let go: a small one is taken like an ack.
#[test]
fn small_results_are_taken_and_large_ones_can_be_given_again() {
    let large = "x".repeat(5000);
    for (result, is_taken) in [("done", true), (large.as_str(), false)] {
        for is_failure in [false, true] {
            let mut world = task_world();
            world.ask(1, enqueue("job"));
            world.ask(2, lease(1, false));
            let lease = world.only_lease();
            world.broker.set_room(LOW);
            let body = envelope("", &Properties::default(), result);
            let settle = |world: &mut World, request| {
                let (body, publish) = (body.clone(), Vec::new());
                let operation = match is_failure {
                    true => Standalone::Fail(Fail {
                        lease,
                        status: None,
                        error: body,
                        retry: false,
                        delay_ms: None,
                    }),
                    false => {
                        Standalone::Complete(Complete { lease, status: None, result: Some(body), publish })
                    }
                };
                world.ask(request, operation)
            };
            let settled = if is_failure { "settled failed" } else { "settled succeeded" };
            let expected = if is_taken { settled } else { "refused: no room in 0" };
            assert_eq!(settle(&mut world, 3), [expected]);
            ample(&mut world);
            assert_eq!(settle(&mut world, 4), [settled], "the lease still holds");
        }
    }
}

#[test]
fn what_a_result_publishes_needs_room_and_its_reply_does_not() {
    let mut world = task_world();
    declare_tasks(&mut world, "next", &[]);
    world.on(1).declare("replies").deaf();
    let properties = Properties { reply_to: Some(name("replies")), ..Properties::default() };
    world.ask(1, enqueue_with(&properties, "job", |_| ()));
    world.ask(2, lease(1, false));
    let lease = world.only_lease();
    world.broker.set_room(LOW);
    let complete = |publish| Standalone::Complete(Complete { lease, status: None, result: None, publish });
    let more = vec![envelope("next", &Properties::default(), "more")];
    assert_eq!(world.ask(3, complete(more)), ["refused: no room in 0"]);
    assert_eq!(world.ask(4, complete(Vec::new())), ["settled succeeded"]);
    assert_eq!(kept(&world, "replies"), 1);
    assert_eq!(world.broker.counters().task_replies_dropped, 0);
}
