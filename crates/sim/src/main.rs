fn main() {
    let seed: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::args().nth(2).and_then(|a| a.parse().ok()).unwrap_or(1);
    for seed in seed..seed + count {
        let outcome = sim::run(seed, count == 1);
        if let Some(violation) = outcome.violation {
            outcome.tail.iter().rev().take(30).rev().for_each(|line| println!("{line}"));
            println!("seed {seed}: {violation}");
            std::process::exit(1);
        }
        println!("seed {seed} {:?} {:x}", outcome.counts, outcome.digest);
    }
}
