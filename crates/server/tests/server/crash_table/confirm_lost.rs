//! Row: the confirm of a publish is lost. It is published again under the same `x-idempotency-key`: confirmed, and not
//! enqueued again.

use amqp_wire::basic;
use testkit::amqp::{Peer, PeerError};

use super::api::Api;
use super::kills::{Sides, kill_after, sweep, time};
use super::worker::{next_job, publish_under_key, work};
use crate::support::{Fresh, expect_confirm};

const ROUNDS: u32 = 20;

fn publish(peer: &mut Peer, round: u32) {
    publish_under_key(peer, "jobs", &format!("round-{round}"), round.to_string().as_bytes());
}

#[test]
fn a_republish_under_the_same_key_is_confirmed_and_not_enqueued_again() {
    let mut fresh = Fresh::start();
    Api::open(&fresh).put_queue("jobs");
    let mut publisher = fresh.publisher();
    let usual = time(|| {
        publish(&mut publisher, 0);
        expect_confirm(&mut publisher, 1);
    });
    let mut sides = Sides::default();
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        publish(&mut publisher, round);
        kill_after(&mut fresh, delay);
        let first: Result<basic::Ack, PeerError> = publisher.expect(1);

        let was_stored = Api::open(&fresh).ready("jobs") > u64::from(round);
        sides.count(was_stored, first.is_ok());
        publisher = fresh.publisher();
        publish(&mut publisher, round);
        publish(&mut publisher, round);
        expect_confirm(&mut publisher, 2);
        assert_eq!(Api::open(&fresh).ready("jobs"), u64::from(round) + 1);
    }
    println!("a confirmed publish takes {usual:?}; {sides}");
    let mut worker = fresh.client();
    work(&mut worker, "jobs", 0);
    for round in 0..=ROUNDS {
        assert_eq!(next_job(&mut worker).body, round.to_string().as_bytes());
    }
}
