//! Every promise is kept by the seeds that everybody runs, and by some that nobody has run before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sim::hunt::{Findings, Hunt};
use sim::limits::Limits;

fn check(hunt: &Hunt) {
    let Findings { runs, counts, failure, .. } = hunt.run();
    if let Some((seed, outcome)) = failure {
        let violation = outcome.violation.expect("it failed");
        panic!("seed {seed}: {violation}\nrepeat it: cargo xtask sim --seed {seed}");
    }
    assert!(runs > 0 && counts.crashes > runs, "{runs} runs with {} crashes", counts.crashes);
}

fn hunt() -> Hunt {
    Hunt { seeds: 0..0, time: None, limits: Limits::default(), mistake: None, threads: 2, progress: false }
}

#[test]
fn fixed_seeds_are_clean() {
    check(&Hunt { seeds: 0..150, ..hunt() });
}

#[test]
fn fresh_seeds_are_clean() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    check(&Hunt { seeds: now * 1000..u64::MAX, time: Some(Duration::from_secs(15)), ..hunt() });
}
