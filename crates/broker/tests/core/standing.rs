//! Who has a message, and since when.

use broker::{QueueNumber, SessionId, Standing, Timestamp};

use crate::tasks::{enqueue, lease, world as task_world};
use crate::world::{World, name};

/// How the messages with these sequences stand in the first queue that was declared.
fn standings(world: &World, sequences: &[u64]) -> Vec<Standing> {
    let messages: Vec<_> = sequences.iter().map(|sequence| (QueueNumber(1), *sequence)).collect();
    world.broker.standings(&messages)
}

/// Whose it is, by which consumer, and for how long, in milliseconds since the world began.
fn held(standing: &Standing) -> (SessionId, Option<String>, u64) {
    let Standing::Delivered(holding) = standing else { panic!("{standing:?}") };
    let tag = holding.consumer_tag.as_ref().map(ToString::to_string);
    (holding.session, tag, holding.since.0 - Timestamp(1000).0)
}

#[test]
fn a_message_waits_or_is_with_a_session_or_is_gone() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "a").publish("q", "b").publish("q", "c").publish("q", "d").deaf();
    assert_eq!(standings(&world, &[0, 3, 4]), [Standing::Waiting, Standing::Waiting, Standing::Gone]);
    assert_eq!(world.broker.standings(&[(QueueNumber(9), 0)]), [Standing::Gone]);
    world.wait(50);
    world.on(2).get("q").deaf();
    world.wait(20);
    world.at(3, 7).prefetch(2).consume("q", "worker").deaf();
    world.wait(1000);
    let found = standings(&world, &[2, 0, 3, 1]);
    let worker = world.at(3, 7).id();
    let (by_worker, by_getter) = (held(&found[0]), held(&found[1]));
    assert_eq!((by_worker.0, by_worker.1), (worker, Some("worker".to_owned())));
    assert_eq!((by_getter.0, by_getter.1), (world.on(2).id(), None));
    // Each command takes a moment.
    assert!((50..100).contains(&by_getter.2) && (20..50).contains(&(by_worker.2 - by_getter.2)));
    assert_eq!((&found[2], held(&found[3]).0), (&Standing::Waiting, worker));
    // Its session still has what a cancelled consumer has left.
    world.at(3, 7).cancel("worker").ack(1).deaf();
    let found = standings(&world, &[1, 2]);
    assert_eq!((&found[0], held(&found[1])), (&Standing::Gone, (worker, None, by_worker.2)));
    world.disconnect(3);
    assert_eq!(standings(&world, &[2]), [Standing::Waiting]);
}

#[test]
fn what_waits_for_a_commit_is_still_with_its_session() {
    let mut world = World::new();
    world.on(1).declare("q").publish("q", "a").transaction().get("q").ack(1).deaf();
    assert_eq!(held(&standings(&world, &[0])[0]).0, world.on(1).id());
    world.on(1).commit().deaf();
    assert_eq!(standings(&world, &[0]), [Standing::Gone]);
}

#[test]
fn a_task_is_with_the_worker_that_leases_it() {
    let mut world = task_world();
    world.ask(1, enqueue("one"));
    world.ask(2, lease(1, false));
    assert_eq!(standings(&world, &[0]), [Standing::Leased { worker: name("host-1") }]);
    // One that a session has acknowledged before its reply came.
    world.ask(3, enqueue("two"));
    world.on(4).consume_no_ack("jobs", "t").deaf();
    assert_eq!(standings(&world, &[1]), [Standing::ReplyAwaited]);
}
