//! A simulation that finds nothing proves nothing: each planted mistake has to be found.

use std::time::Duration;

use mistakes::Mistake;
use sim::hunt::Hunt;
use sim::limits::Limits;

#[test]
fn every_planted_mistake_is_found() {
    let mut missed = Vec::new();
    for mistake in Mistake::ALL {
        let hunt = Hunt {
            seeds: 0..u64::MAX,
            time: Some(Duration::from_secs(120)),
            limits: Limits::default(),
            mistake: Some(mistake),
            threads: 2,
            progress: false,
        };
        match hunt.find_mistake() {
            Ok((seed, _, time)) => println!("{mistake:?}: seed {seed}, {:.1} s", time.as_secs_f64()),
            Err(why) => missed.push(format!("{mistake:?}: {why}")),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
