//! The power goes at each step of the disk that a checkpoint or a merge of runs takes: the next boot finds the same.

use broker::DurableView;
use engine::{CheckpointJob, Settings};
use journal::storage::Storage;

use crate::bench::{Bench, ack, body, declare, get, publish};

/// Runs that there are in the end: as many as bring a merge.
const RUNS: usize = 6;

/// A bench with a job that waits: of the runs, or of the flush that is to write the last of them.
fn with_job(wants_merge: bool) -> (Bench, CheckpointJob) {
    let mut bench = Bench::with(Settings { state_bytes: 1, ..Settings::default() });
    bench.holds_checkpoints = true;
    let one = bench.connect();
    bench.ask(one, [declare("q", true), declare("gone", true)]);
    for number in 0.. {
        assert!(number < 300, "no job comes: {:?}", bench.storage.list("checkpoints/vhost"));
        bench.ask(one, (0..70).map(|each| publish("q", body(70 * number + each, 10))));
        bench.ask(one, [get("q"), get("q"), ack(2 * number as u64 + 1, false)]);
        bench.settle();
        let Some(job) = bench.engine.take_checkpoint_job() else { continue };
        let is_merge = format!("{job:?}").contains("Merge");
        if is_merge == wants_merge && (is_merge || runs(&bench) == RUNS - 1) {
            return (bench, job);
        }
        bench.engine.checkpoint_done(job.run());
    }
    unreachable!()
}

fn runs(bench: &Bench) -> usize {
    let files = bench.storage.list("checkpoints/vhost").unwrap();
    files.iter().filter(|file| file.starts_with("rows-")).count()
}

fn view(bench: &mut Bench) -> DurableView {
    bench.engine.drain(bench.now);
    while bench.step() {}
    bench.engine.view_at_last_entry().expect("nothing is under way")
}

fn check_each_step(wants_merge: bool) {
    let (bench, job) = with_job(wants_merge);
    let before = bench.storage.operations();
    job.run().unwrap();
    let steps = bench.storage.operations() - before;
    assert!(steps > 8, "{steps}");
    for step in 0..steps {
        for seed in 0..4 {
            let (mut bench, job) = with_job(wants_merge);
            let expected = view(&mut bench);
            bench.storage.cut_power_after(step);
            // What is removed behind it may be removed later, so it need not fail.
            let outcome = job.run();
            bench.storage.crash(seed);
            bench.holds_checkpoints = false;
            bench.crash(0);
            assert_eq!(view(&mut bench), expected, "the power went at step {step}: {outcome:?}");
            // And the boot after that, which has written a checkpoint of its own.
            bench.restart();
            assert_eq!(view(&mut bench), expected, "the power went at step {step}, one boot later");
        }
    }
}

#[test]
fn the_power_may_go_at_each_step_of_a_flush() {
    check_each_step(false);
}

#[test]
fn the_power_may_go_at_each_step_of_a_merge() {
    check_each_step(true);
}
