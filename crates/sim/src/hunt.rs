//! Many seeds, on all cores, until one fails or it is enough.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mistakes::Mistake;

use crate::limits::Limits;
use crate::{Counts, Outcome, Violation, run};

/// Which seeds, and for how long.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How long at most.
    pub time: Option<Duration>,
    /// What every run leaves out.
    pub limits: Limits,
    /// The mistake that is planted.
    pub mistake: Option<Mistake>,
    /// How many threads; each runs whole seeds.
    pub threads: usize,
    /// Whether to say now and then how far it has come.
    pub progress: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Runs that ended.
    pub runs: u64,
    /// What they did together.
    pub counts: Counts,
    /// How long it took.
    pub time: Duration,
    /// The run that failed: its seed and what came of it.
    pub failure: Option<(u64, Outcome)>,
}

impl Hunt {
    /// The run that shows the planted mistake: it fails with it, and keeps every promise without it.
    ///
    /// # Errors
    /// What failed without the mistake, or that nothing has failed at all.
    pub fn find_mistake(&self) -> Result<(u64, Violation, Duration), String> {
        let Findings { runs, time, failure, .. } = self.run();
        let Some((seed, Outcome { violation: Some(violation), .. })) = failure else {
            return Err(format!("not found by {runs} seeds in {:.0} s", time.as_secs_f64()));
        };
        plant(None);
        match run(seed, &self.limits, false).violation {
            None => Ok((seed, violation, time)),
            Some(violation) => Err(format!("seed {seed} fails without the mistake as well: {violation}")),
        }
    }

    /// Runs the seeds.
    #[must_use]
    pub fn run(&self) -> Findings {
        let started = Instant::now();
        let (next, over) = (AtomicU64::new(self.seeds.start), AtomicBool::new(false));
        let findings = Mutex::new(Findings::default());
        let work = || {
            plant(self.mistake);
            while !over.load(Ordering::Relaxed) && self.time.is_none_or(|time| started.elapsed() < time) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    break;
                }
                let outcome = run(seed, &self.limits, false);
                let Ok(mut findings) = findings.lock() else { break };
                findings.runs += 1;
                findings.counts.add(&outcome.counts);
                if outcome.violation.is_some() {
                    over.store(true, Ordering::Relaxed);
                    // Of two that fail at the same time the smaller seed is told, so that it is always the same.
                    if findings.failure.as_ref().is_none_or(|(other, _)| seed < *other) {
                        findings.failure = Some((seed, outcome));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(work)).collect();
            let mut told = Instant::now();
            while self.progress && workers.iter().any(|worker| !worker.is_finished()) {
                std::thread::sleep(Duration::from_millis(50));
                if told.elapsed() > Duration::from_secs(10)
                    && let Ok(findings) = findings.lock()
                {
                    told = Instant::now();
                    let (runs, crashes) = (findings.runs, findings.counts.crashes);
                    eprintln!("{:>6.0} s: {runs} seeds, {crashes} crashes", started.elapsed().as_secs_f64());
                }
            }
        });
        let mut findings = findings.into_inner().unwrap_or_default();
        findings.time = started.elapsed();
        findings
    }
}

#[cfg(feature = "planted")]
fn plant(mistake: Option<Mistake>) {
    mistakes::plant(mistake);
}

#[cfg(not(feature = "planted"))]
fn plant(mistake: Option<Mistake>) {
    assert_eq!(mistake, None, "this build has no mistakes in it; build with --features planted");
}
