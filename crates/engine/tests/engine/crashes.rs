//! Crashes at any point: what was confirmed is found, once and in order.

use std::collections::BTreeSet;

use broker::Operation;
use proptest::prelude::*;

use crate::bench::{Bench, ack, body, consume, declare, publish};

#[derive(Clone, Debug)]
enum Step {
    Publish {
        bytes: usize,
    },
    /// Acknowledges the oldest delivery that was seen.
    Ack,
    Journal,
    Read {
        which: usize,
    },
    Tick,
    Rest,
    Checkpoint,
    Crash {
        survivors: usize,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (1..1500usize).prop_map(|bytes| Step::Publish { bytes }),
        6 => Just(Step::Ack),
        10 => Just(Step::Journal),
        4 => any::<usize>().prop_map(|which| Step::Read { which }),
        2 => Just(Step::Tick),
        2 => Just(Step::Rest),
        2 => Just(Step::Checkpoint),
        1 => (0..4usize).prop_map(|survivors| Step::Crash { survivors }),
        1 => Just(Step::Restart),
    ]
}

/// One publisher with confirms and one consumer, over all boots.
#[derive(Default)]
struct Story {
    published: Vec<usize>,
    /// Numbers of this boot's publishes, in order of their confirms.
    unconfirmed: Vec<usize>,
    confirmed: BTreeSet<usize>,
    acked: BTreeSet<usize>,
    /// Deliveries of this boot that are not acknowledged: (tag, number).
    held: Vec<(u64, usize)>,
    confirmed_in_boot: usize,
    last_delivered: usize,
}

impl Story {
    fn hear(&mut self, heard: &[String]) {
        for line in heard {
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "confirmed" {
                let up_to: usize = words[1].parse().unwrap();
                for number in self.unconfirmed.drain(..up_to - self.confirmed_in_boot) {
                    self.confirmed.insert(number);
                }
                self.confirmed_in_boot = up_to;
            } else if let Some(tag) = words[0].strip_prefix('#') {
                let number: usize = words[1][1..].parse().unwrap();
                assert!(number > self.last_delivered, "m{number} after m{}", self.last_delivered);
                assert!(self.published.contains(&number));
                self.last_delivered = number;
                self.held.push((tag.parse().unwrap(), number));
            }
        }
    }

    fn new_boot(&mut self) {
        self.unconfirmed.clear();
        self.held.clear();
        (self.confirmed_in_boot, self.last_delivered) = (0, 0);
    }
}

fn check(steps: &[Step]) {
    let settings =
        engine::Settings { body_cache_bytes: 4096, delivery_window_bytes: 1 << 30, ..Default::default() };
    let mut bench = Bench::with(settings);
    let mut story = Story::default();
    let (mut publisher, mut consumer) = begin(&mut bench, &mut story);
    for step in steps {
        match *step {
            Step::Publish { bytes } => {
                let number = story.published.len() + 1;
                story.published.push(number);
                story.unconfirmed.push(number);
                bench.ask(publisher, [publish("q", body(number, bytes))]);
            }
            Step::Ack if story.held.is_empty() => {}
            Step::Ack => {
                let (tag, number) = story.held.remove(0);
                story.acked.insert(number);
                bench.ask(consumer, [ack(tag, false)]);
            }
            Step::Journal => {
                bench.step();
            }
            Step::Read { which } => {
                let pending = bench.journal.pending_reads().max(1);
                bench.journal.step_read(which % pending);
                bench.engine.pump(bench.now);
            }
            Step::Tick => {
                bench.now.0 += 10;
                bench.engine.tick(bench.now);
            }
            Step::Rest => (0..2).for_each(|_| bench.engine.rest()),
            Step::Checkpoint => bench.checkpoint(),
            Step::Crash { survivors } => {
                bench.crash(survivors);
                (publisher, consumer) = begin(&mut bench, &mut story);
            }
            Step::Restart => {
                bench.close();
                story.hear(&bench.hear(publisher));
                bench.reopen().unwrap();
                (publisher, consumer) = begin(&mut bench, &mut story);
            }
        }
        story.hear(&bench.hear(publisher));
        story.hear(&bench.hear(consumer));
    }
    bench.crash(0);
    check_found(&bench.drain_queue("q"), &story);
}

fn begin(bench: &mut Bench, story: &mut Story) -> (u64, u64) {
    story.new_boot();
    let (publisher, consumer) = (bench.connect(), bench.connect());
    bench.ask(publisher, [declare("q", true), Operation::SelectConfirm]);
    bench.settle();
    bench.ask(consumer, [consume("q", false)]);
    bench.settle();
    (publisher, consumer)
}

fn check_found(found: &[String], story: &Story) {
    let numbers: Vec<usize> =
        found.iter().map(|line| line.strip_suffix(" again").unwrap()[1..].parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "once and in order: {numbers:?}");
    for number in &story.confirmed {
        assert!(
            story.acked.contains(number) || numbers.contains(number),
            "m{number} was confirmed and is gone"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn confirmed_messages_survive_any_crash(steps in proptest::collection::vec(step(), 1..150)) {
        check(&steps);
    }
}
