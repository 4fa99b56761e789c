//! A failing run is made small: what can be left out is left out.

use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::{Outcome, Violation, run};

/// The smallest run that was found: what it leaves out, and what comes of it.
#[derive(Debug)]
pub struct Small {
    /// What it leaves out.
    pub limits: Limits,
    /// What comes of it.
    pub outcome: Outcome,
}

/// Leaves out whatever can be left out of the run of a seed so that it still breaks the same promise. Ends after about
/// so long, with what it has found by then.
#[must_use]
pub fn shrink(seed: u64, limits: &Limits, broken: &Violation, time: Duration) -> Option<Small> {
    let started = Instant::now();
    let mut small: Option<Small> = None;
    let mut try_it = |limits: Limits| -> bool {
        if started.elapsed() > time {
            return false;
        }
        let outcome = run(seed, &limits, false);
        let is_broken =
            outcome.violation.as_ref().is_some_and(|violation| violation.promise == broken.promise);
        if is_broken {
            small = Some(Small { limits, outcome });
        }
        is_broken
    };
    let mut best = limits.clone();
    for name in Limits::names().iter().filter(|name| !limits.without.contains(name)) {
        let less = best.and_without(name);
        if try_it(less.clone()) {
            best = less;
        }
    }
    let mut most = best.operations_max.unwrap_or(8_192);
    while most > 8 {
        let less = Limits { operations_max: Some(most / 2), ..best.clone() };
        if !try_it(less) {
            break;
        }
        most /= 2;
    }
    small
}
