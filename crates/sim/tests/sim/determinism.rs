//! A seed shows the same again, to the last line.

use sim::limits::Limits;
use sim::run;

#[test]
fn a_seed_twice_says_the_same() {
    for seed in 0..12 {
        let (one, other) = (run(seed, &Limits::default(), false), run(seed, &Limits::default(), false));
        assert_eq!(one.tail, other.tail, "seed {seed}");
        assert_eq!((one.digest, one.counts), (other.digest, other.counts), "seed {seed}");
    }
}

#[test]
fn another_seed_says_something_else() {
    assert_ne!(run(1, &Limits::default(), false).digest, run(2, &Limits::default(), false).digest);
}

#[test]
fn what_is_left_out_is_left_out() {
    let limits: Limits =
        "operations=50,-crashes,-torn-steps,-failing-writes,-failing-syncs,-full-disks,-orderly-stops"
            .parse()
            .unwrap();
    let counts = run(3, &limits, false).counts;
    assert_eq!(counts.crashes, 1, "only the last, to look through what is there");
    assert!((50..60).contains(&counts.operations), "{counts:?}");
}
