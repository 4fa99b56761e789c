//! Rows of a checkpoint that is not whole, laid over what the journal says.

use broker::Operation;

use crate::world::{World, binding, name, replay};

fn messages(broker: &broker::Broker) -> usize {
    broker.durable_view().queues.iter().map(|queue| queue.messages.len()).sum()
}

#[test]
fn what_the_journal_has_behind_an_old_page_stays() {
    let mut world = World::new();
    world.on(1).declare("q").deaf();
    for _ in 0..300 {
        world.on(1).publish_to("", "q", "m");
    }
    let old = world.checkpoint().rows;
    for _ in 0..200 {
        world.on(1).publish_to("", "q", "m");
    }
    let mut broker = world.replayed();
    old.put_over(&mut broker, true);
    assert_eq!(broker.durable_view(), world.broker.durable_view());
    // Where no newer row can be lost, the row is the truth.
    old.put_over(&mut broker, false);
    assert_eq!(messages(&broker), 300);
}

#[test]
fn what_no_row_speaks_of_goes() {
    let mut world = World::new();
    world
        .on(1)
        .declare("q")
        .declare("gone")
        .exchange("x", "fanout")
        .bind("x", "", "q")
        .bind("x", "", "gone")
        .deaf();
    world.on(1).publish_to("", "gone", "m");
    world.on(1).publish_to("", "q", "m");
    let journal = world.entries.clone();
    world.on(1).operate(Operation::UnbindQueue(binding("x", "", "q", Default::default()))).deaf();
    let delete = Operation::DeleteQueue { name: name("gone"), if_unused: false, if_empty: false };
    world.on(1).operate(delete).deaf();
    world.on(1).operate(Operation::DeleteExchange { name: name("x"), if_unused: false }).deaf();
    world.on(1).exchange("x", "topic").deaf();
    let rows = world.checkpoint().rows;
    // What tells of the end of things was trimmed.
    let mut broker = broker::Broker::new(broker::Settings::default());
    replay(&mut broker, &journal);
    rows.put_over(&mut broker, false);
    assert_eq!(broker.durable_view(), world.broker.durable_view());
}
