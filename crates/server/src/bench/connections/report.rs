//! The result, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Capacity, Load};
use super::tally::Tally;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Report {
    cores: u64,
    server_descriptors_max: Option<u64>,
    /// One for each protocol.
    pub(super) rounds: Vec<RoundReport>,
}

/// What was measured for one protocol.
#[derive(Debug)]
pub(super) struct RoundReport {
    pub(super) load: Load,
    pub(super) client_processes: u64,
    pub(super) memory: MemoryFigures,
    /// From the order to call until the last task was in the queue.
    pub(super) parking: Duration,
    /// From the workers' start until the last caller was answered.
    pub(super) answering: Duration,
    /// Replies that the workers have published.
    pub(super) answered_by_workers: u64,
    pub(super) tally: Tally,
}

/// Anonymous memory of the server's process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryFigures {
    pub(super) at_start: u64,
    pub(super) with_connections: u64,
    pub(super) with_calls: u64,
    pub(super) after_answers: u64,
    pub(super) after_close: u64,
}

impl Report {
    /// A report without figures.
    pub(super) fn new(capacity: &Capacity) -> Self {
        Self {
            cores: capacity.cores,
            server_descriptors_max: capacity.server_descriptors_max,
            rounds: Vec::new(),
        }
    }

    /// What went wrong, in words; `None` when every caller got its own answer.
    pub(crate) fn problem(&self) -> Option<String> {
        let problems: Vec<String> = self.rounds.iter().filter_map(RoundReport::problem).collect();
        (!problems.is_empty()).then(|| problems.join("\n"))
    }

    /// The figures, for programs. Memory in bytes, times in seconds.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "cores": self.cores,
            "server_descriptors_max": self.server_descriptors_max,
            "rounds": self.rounds.iter().map(RoundReport::to_json).collect::<Vec<_>>(),
        })
    }
}

impl RoundReport {
    fn missing(&self) -> u64 {
        self.load.calls().saturating_sub(self.tally.settled())
    }

    /// Negative when the server gave more memory back meanwhile than the connections took.
    fn bytes_per_connection(&self) -> f64 {
        difference(self.memory.at_start, self.memory.with_connections) / self.load.connections as f64
    }

    fn bytes_per_call(&self) -> f64 {
        difference(self.memory.with_connections, self.memory.with_calls) / self.load.calls() as f64
    }

    fn parked_per_s(&self) -> f64 {
        self.load.calls() as f64 / self.parking.as_secs_f64().max(f64::EPSILON)
    }

    fn answered_per_s(&self) -> f64 {
        self.tally.correct as f64 / self.answering.as_secs_f64().max(f64::EPSILON)
    }

    fn problem(&self) -> Option<String> {
        let Tally { wrong, late, refused, broken, examples, .. } = &self.tally;
        let missing = self.missing();
        if self.tally.failed() + missing == 0 {
            return None;
        }
        let counts = [
            (*wrong, "got an answer that is not theirs"),
            (
                *late,
                "were told that the time to wait is up (ask for fewer calls, or for more time with --wait)",
            ),
            (*refused, "were refused"),
            (*broken, "lost their connection"),
            (missing, "got no answer at all"),
        ];
        let told = counts.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told.map(|(count, what)| format!("{count} {what}")).collect();
        let mut text =
            format!("of {} calls over {}, {}", self.load.calls(), self.load.protocol.name(), told.join(", "));
        for example in examples {
            text.push_str(&format!("\n  {example}"));
        }
        Some(text)
    }

    fn to_json(&self) -> Value {
        let Self { load, memory, tally, .. } = self;
        json!({
            "protocol": load.protocol,
            "connections": load.connections,
            "calls": load.calls(),
            "client_processes": self.client_processes,
            "memory_bytes": {
                "at_start": memory.at_start,
                "with_connections": memory.with_connections,
                "with_calls": memory.with_calls,
                "after_answers": memory.after_answers,
                "after_close": memory.after_close,
                "per_connection": self.bytes_per_connection().round() as i64,
                "per_parked_call": self.bytes_per_call().round() as i64,
            },
            "parking_s": self.parking.as_secs_f64(),
            "parked_per_s": self.parked_per_s().round() as u64,
            "answering_s": self.answering.as_secs_f64(),
            "answered_per_s": self.answered_per_s().round() as u64,
            "published_by_workers": self.answered_by_workers,
            "correct": tally.correct,
            "wrong": tally.wrong,
            "late": tally.late,
            "refused": tally.refused,
            "broken": tally.broken,
            "missing": self.missing(),
            "examples": tally.examples,
        })
    }
}

/// The table for people.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.server_descriptors_max.map_or("no limit".to_owned(), grouped);
        writeln!(formatter, "{} cores, {limit} descriptors for the server\n", self.cores)?;
        let mut row = |label: &str, cell: &dyn Fn(&RoundReport) -> String| {
            let cells = self.rounds.iter().map(|round| format!("{:>20}", cell(round)));
            writeln!(formatter, "{}", format!("{label:<34}{}", cells.collect::<String>()).trim_end())
        };
        row("", &|round| round.load.protocol.name().to_owned())?;
        row("connections", &|round| grouped(round.load.connections))?;
        row("calls parked at once", &|round| grouped(round.load.calls()))?;
        row("answered correctly", &|round| grouped(round.tally.correct))?;
        row("wrong, late, refused or missing", &|round| grouped(round.tally.failed() + round.missing()))?;
        row("memory per connection", &|round| kilobytes(round.bytes_per_connection()))?;
        row("memory per parked call", &|round| kilobytes(round.bytes_per_call()))?;
        row("parked in", &|round| pace(round.parking, round.parked_per_s()))?;
        row("answered in", &|round| pace(round.answering, round.answered_per_s()))?;
        row("the server's memory", &|_| String::new())?;
        row("  at the start", &|round| megabytes(round.memory.at_start))?;
        row("  with idle connections", &|round| megabytes(round.memory.with_connections))?;
        row("  with parked calls", &|round| megabytes(round.memory.with_calls))?;
        row("  after the answers", &|round| megabytes(round.memory.after_answers))?;
        row("  with the connections closed", &|round| megabytes(round.memory.after_close))
    }
}

fn difference(before: u64, after: u64) -> f64 {
    after as f64 - before as f64
}

fn kilobytes(bytes: f64) -> String {
    format!("{:.1} KB", bytes / 1024.0)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1_048_576.0)
}

fn pace(duration: Duration, calls_per_s: f64) -> String {
    format!("{:.2} s ({}/s)", duration.as_secs_f64(), grouped(calls_per_s.round() as u64))
}

/// With a comma for every thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Protocol;
    use super::super::tally::Outcome;
    use super::*;

    fn report(tally: Tally) -> Report {
        const MB: u64 = 1_048_576;
        let round = RoundReport {
            load: Load { protocol: Protocol::Http2, connections: 1024, streams: 2 },
            client_processes: 1,
            memory: MemoryFigures {
                at_start: 10 * MB,
                with_connections: 13 * MB,
                with_calls: 33 * MB,
                after_answers: 20 * MB,
                after_close: 12 * MB,
            },
            parking: Duration::from_millis(500),
            answering: Duration::from_millis(2000),
            answered_by_workers: 2048,
            tally,
        };
        Report { cores: 2, server_descriptors_max: Some(20_000), rounds: vec![round] }
    }

    #[test]
    fn connections_and_parked_calls_are_told_apart() {
        let report = report(Tally { opened: 1024, sent: 2048, correct: 2048, ..Tally::default() });
        assert_eq!(report.problem(), None);
        let round = &report.to_json()["rounds"][0];
        assert_eq!(round["memory_bytes"]["per_connection"], 3 * 1024);
        assert_eq!(round["memory_bytes"]["per_parked_call"], 10 * 1024);
        assert_eq!(round["answered_per_s"], 1024);
        let table = report.to_string();
        for row in ["per connection  3.0 KB", "per parked call 10.0 KB", "parked in 0.50 s (4,096/s)"] {
            let words: Vec<&str> = row.split_whitespace().collect();
            let is_row = |line: &&str| {
                line.split_whitespace().collect::<Vec<_>>().join(" ").ends_with(&words.join(" "))
            };
            assert!(table.lines().any(|line| is_row(&line)), "{row}\n{table}");
        }
    }

    #[test]
    fn every_call_without_its_answer_is_a_problem() {
        let mut tally = Tally { sent: 2048, correct: 2000, ..Tally::default() };
        tally.count(Outcome::Wrong("caller 7 was answered 8".to_owned()));
        tally.count(Outcome::Late);
        let problem = report(tally).problem().unwrap();
        for part in [
            "of 2048 calls over HTTP/2",
            "1 got an answer that is not theirs",
            "1 were told",
            "46 got no answer",
            "caller 7",
        ] {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
