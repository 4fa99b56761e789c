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
        let findings = hunt.run();
        match findings.failure {
            Some((seed, _)) => println!("{mistake:?}: seed {seed}, {:.1} s", findings.time.as_secs_f64()),
            None => missed.push(mistake),
        }
    }
    assert_eq!(missed, [], "no seed has found these within two minutes each");
}
