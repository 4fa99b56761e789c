//! The command line of the simulation; see `cargo xtask sim --help`.

use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use mistakes::Mistake;
use sim::hunt::{Findings, Hunt};
use sim::limits::Limits;
use sim::{Outcome, run, shrink};

#[derive(Parser)]
#[command(
    name = "cargo xtask sim",
    about = "The production broker on simulated time, disk and connections, from one seed"
)]
struct Arguments {
    /// Runs one seed and prints its log, each line with its simulated time.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "minutes", "planted"])]
    seed: Option<u64>,
    /// Runs these seeds.
    #[arg(long, value_name = "A..B", value_parser = parse_range, conflicts_with_all = ["minutes", "planted"])]
    seeds: Option<Range<u64>>,
    /// Runs fresh seeds for so long. Default 1 minute.
    #[arg(long, value_name = "M", conflicts_with = "planted")]
    minutes: Option<f64>,
    /// Plants mistakes that people make, all or the named one, and looks for a seed that finds each within a minute.
    #[arg(long, value_name = "MISTAKE", num_args = 0..=1, default_missing_value = "all")]
    planted: Option<String>,
    /// What is left out, as a failing run has printed it.
    #[arg(
        long,
        value_name = "LIMITS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    limits: Limits,
    /// Seeds that run at the same time. Default: as many as there are cores.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of the production code is told with its seed, as a broken promise.
    std::panic::set_hook(Box::new(|_| ()));
    let is_fine = match (&arguments.seed, &arguments.planted) {
        (Some(seed), _) => show(*seed, &arguments.limits),
        (_, Some(name)) => hunt_mistakes(name, &arguments),
        _ => hunt(&arguments),
    };
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one seed and shows everything.
fn show(seed: u64, limits: &Limits) -> bool {
    let outcome = run(seed, limits, true);
    let Outcome { violation, counts, digest, .. } = outcome;
    println!("seed {seed}: {counts:?}, digest {digest:016x}");
    match &violation {
        Some(violation) => println!("FAILED: {violation}"),
        None => println!("every promise was kept"),
    }
    violation.is_none()
}

/// Runs many seeds.
fn hunt(arguments: &Arguments) -> bool {
    let minutes = arguments.minutes.unwrap_or(1.0);
    let (seeds, time) = match &arguments.seeds {
        Some(seeds) => (seeds.clone(), None),
        None => (fresh_seed()..u64::MAX, Some(Duration::from_secs_f64(60.0 * minutes))),
    };
    println!("seeds from {}", seeds.start);
    let hunt = Hunt {
        seeds,
        time,
        limits: arguments.limits.clone(),
        mistake: None,
        threads: threads(arguments),
        progress: true,
    };
    let Findings { runs, counts, time, failure } = hunt.run();
    let seconds = time.as_secs_f64().max(0.001);
    println!(
        "{runs} seeds in {seconds:.0} s: {} simulated crashes, {} operations of clients, {} messages ({} refused by full disks), {} journal entries, {} events",
        counts.crashes, counts.operations, counts.messages, counts.rejected, counts.entries, counts.events
    );
    println!(
        "{:.0} operations and {:.0} checks a second",
        counts.operations as f64 / seconds,
        counts.checked as f64 / seconds
    );
    match failure {
        None => println!("every promise was kept"),
        Some((seed, outcome)) => {
            tell(seed, &arguments.limits, &outcome);
            return false;
        }
    }
    true
}

/// Says how a run failed, and how it can be seen again.
fn tell(seed: u64, limits: &Limits, outcome: &Outcome) {
    let Some(violation) = &outcome.violation else { return };
    for line in &outcome.tail[outcome.tail.len().saturating_sub(25)..] {
        println!("{line:.400}");
    }
    let what = violation.to_string();
    println!("\nFAILED: seed {seed}: {what:.4000}");
    println!("repeat it: cargo xtask sim --seed {seed}{}", option(limits));
    if let Some(small) = shrink::shrink(seed, limits, violation, Duration::from_secs(30)) {
        println!("smaller:   cargo xtask sim --seed {seed}{}", option(&small.limits));
        let small = small.outcome;
        if let Some(what) = small.violation.map(|violation| violation.to_string()) {
            println!(
                "           {} operations, {} events: {what:.1000}",
                small.counts.operations, small.counts.events
            );
        }
    }
}

fn option(limits: &Limits) -> String {
    match limits.to_string() {
        text if text.is_empty() => text,
        text => format!(" --limits '{text}'"),
    }
}

/// Plants mistakes, and looks whether each is found.
fn hunt_mistakes(name: &str, arguments: &Arguments) -> bool {
    let is_meant = |mistake: &&Mistake| name == "all" || format!("{mistake:?}") == name;
    let meant: Vec<Mistake> = Mistake::ALL.iter().filter(is_meant).copied().collect();
    if meant.is_empty() {
        let names: Vec<String> = Mistake::ALL.iter().map(|mistake| format!("{mistake:?}")).collect();
        eprintln!("there is no mistake '{name}'; there are: {}", names.join(", "));
        return false;
    }
    let mut all_found = true;
    for mistake in meant {
        let hunt = Hunt {
            seeds: 0..u64::MAX,
            time: Some(Duration::from_secs(60)),
            limits: arguments.limits.clone(),
            mistake: Some(mistake),
            threads: threads(arguments),
            progress: false,
        };
        let name = format!("{mistake:?}");
        match hunt.find_mistake() {
            Ok((seed, violation, time)) => {
                let (seconds, what) = (time.as_secs_f64(), violation.to_string());
                println!("{name:<22} found in {seconds:>5.1} s by seed {seed:<5} {what:.110}");
            }
            Err(why) => {
                println!("{name:<22} NOT FOUND: {why}");
                all_found = false;
            }
        }
    }
    all_found
}

fn threads(arguments: &Arguments) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    arguments.threads.unwrap_or_else(cores)
}

/// A seed that was not used before: the time, in milliseconds.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as u64 * 1_000
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or_else(|| format!("'{text}' is no range; 0..100, say"))?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is no seed"));
    Ok(number(start)?..number(end)?)
}
