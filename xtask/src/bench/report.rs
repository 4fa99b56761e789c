//! What is told of a whole run, with the bars that the project has set itself beside it.

use serde_json::{Value, json};

use super::call::CallFigures;
use super::disk::DiskSpeed;
use super::measure::Figures;
use super::workload::Workload;

/// The disk and all workloads of one run.
pub(super) struct Report {
    disk: DiskSpeed,
    lines: Vec<Line>,
    calls: Vec<CallLine>,
}

/// Calls in numbers.
struct CallLine {
    callers: usize,
    calls_per_s: f64,
    server_us: Option<f64>,
    latency_us: [Option<u32>; 2],
    bars: Vec<Bar>,
}

/// One workload in numbers.
struct Line {
    letter: &'static str,
    description: &'static str,
    published_per_s: f64,
    received_per_s: f64,
    server_us: Option<f64>,
    own_us: f64,
    confirm_us: [Option<u32>; 2],
    end_to_end_us: [Option<u32>; 2],
    bars: Vec<Bar>,
}

/// A figure that must not be missed.
struct Bar {
    name: &'static str,
    figure: f64,
    limit: f64,
    /// Whether the figure must stay below the limit, or reach it.
    below: bool,
}

/// A 1 KB message with its envelope, as it goes to the disk.
const STORED_BYTES: f64 = 1100.0;

impl Bar {
    fn is_met(&self) -> bool {
        if self.below { self.figure < self.limit } else { self.figure >= self.limit }
    }

    fn print(&self) {
        let (sign, verdict) =
            (if self.below { "<" } else { ">=" }, if self.is_met() { "met" } else { "MISSED" });
        println!("   bar: {} {sign} {:.1}: {verdict} with {:.1}", self.name, self.limit, self.figure);
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "figure": self.figure, "limit": self.limit, "met": self.is_met() })
    }
}

impl Report {
    pub(super) fn new(disk: DiskSpeed) -> Self {
        Self { disk, lines: Vec::new(), calls: Vec::new() }
    }

    pub(super) fn add(&mut self, workload: &Workload, mut figures: Figures) {
        let seconds = figures.elapsed.as_secs_f64();
        let per_message = |cpu: std::time::Duration| cpu.as_secs_f64() * 1e6 / figures.received as f64;
        let mut line = Line {
            letter: workload.letter,
            description: workload.description,
            published_per_s: figures.published as f64 / seconds,
            received_per_s: figures.received as f64 / seconds,
            server_us: figures.server_cpu.map(per_message),
            own_us: per_message(figures.own_cpu),
            confirm_us: [0.5, 0.99].map(|share| figures.confirm.quantile_us(share)),
            end_to_end_us: [0.5, 0.99].map(|share| figures.end_to_end.quantile_us(share)),
            bars: Vec::new(),
        };
        line.bars = self.bars(&line);
        self.lines.push(line);
    }

    pub(super) fn add_call(&mut self, mut figures: CallFigures) {
        let latency_us = [0.5, 0.99].map(|share| figures.latency.quantile_us(share));
        let mut bars = Vec::new();
        if figures.callers == 1 {
            // One sync for the task, one for the reply, and a millisecond for all else.
            let limit = 3.0 * f64::from(self.disk.sync_4k_p50_us) + 1000.0;
            let figure = latency_us[0].map_or(f64::NAN, f64::from);
            bars.push(Bar { name: "call p50 us", figure, limit, below: true });
        }
        let CallFigures { callers, calls_per_s, server_us, .. } = figures;
        self.calls.push(CallLine { callers, calls_per_s, server_us, latency_us, bars });
    }

    fn bars(&self, line: &Line) -> Vec<Bar> {
        let mut bars = Vec::new();
        match line.letter {
            "a" => {
                let disk_per_s = 0.7 * self.disk.synced_mb_per_s * 1e6 / STORED_BYTES;
                let rate = line.published_per_s.min(line.received_per_s);
                bars.push(Bar {
                    name: "msg/s",
                    figure: rate,
                    limit: disk_per_s.min(250_000.0),
                    below: false,
                });
                if let Some(server_us) = line.server_us {
                    bars.push(Bar { name: "server us/msg", figure: server_us, limit: 3.0, below: true });
                }
            }
            "c" => {
                let [median, _] = line.confirm_us;
                let (figure, limit) =
                    (median.map_or(f64::NAN, f64::from), f64::from(self.disk.sync_4k_p50_us));
                bars.push(Bar { name: "confirm p50 us", figure, limit: 2.0 * limit, below: true });
            }
            _ => {}
        }
        bars
    }

    pub(super) fn print(&self) {
        let DiskSpeed { sync_4k_p50_us, sync_4k_p99_us, synced_mb_per_s } = self.disk;
        println!(
            "disk: 4 KB write + fdatasync p50 {sync_4k_p50_us} us, p99 {sync_4k_p99_us} us; 1 MB synced writes {synced_mb_per_s:.0} MB/s"
        );
        for line in &self.lines {
            let server = line.server_us.map_or("unknown".to_owned(), |us| format!("{us:.2}"));
            println!("{}: {}", line.letter, line.description);
            println!("   in {:.0}/s, out {:.0}/s", line.published_per_s, line.received_per_s);
            println!("   processor: server {server} us/msg, load generator {:.2} us/msg", line.own_us);
            println!("   confirm {}, end to end {}", pair(line.confirm_us), pair(line.end_to_end_us));
            line.bars.iter().for_each(Bar::print);
        }
        for line in &self.calls {
            let server = line.server_us.map_or("unknown".to_owned(), |us| format!("{us:.1}"));
            println!("call: HTTP callers answered by an AMQP worker, {} at a time", line.callers);
            println!("   {:.0}/s, processor: server {server} us/call", line.calls_per_s);
            println!("   latency {}", pair(line.latency_us));
            line.bars.iter().for_each(Bar::print);
        }
    }

    pub(super) fn print_json(&self) {
        let workloads: Vec<Value> = self.lines.iter().map(Line::json).collect();
        let disk = json!({
            "sync_4k_p50_us": self.disk.sync_4k_p50_us,
            "sync_4k_p99_us": self.disk.sync_4k_p99_us,
            "synced_mb_per_s": self.disk.synced_mb_per_s,
        });
        let calls: Vec<Value> = self.calls.iter().map(CallLine::json).collect();
        println!("{}", json!({ "disk": disk, "workloads": workloads, "calls": calls }));
    }
}

impl CallLine {
    fn json(&self) -> Value {
        json!({
            "callers": self.callers,
            "calls_per_s": self.calls_per_s,
            "server_cpu_us_per_call": self.server_us,
            "latency_p50_us": self.latency_us[0],
            "latency_p99_us": self.latency_us[1],
            "bars": self.bars.iter().map(Bar::json).collect::<Vec<_>>(),
        })
    }
}

impl Line {
    fn json(&self) -> Value {
        let bars: Vec<Value> = self.bars.iter().map(Bar::json).collect();
        json!({
            "workload": self.letter,
            "description": self.description,
            "published_per_s": self.published_per_s,
            "received_per_s": self.received_per_s,
            "server_cpu_us_per_message": self.server_us,
            "generator_cpu_us_per_message": self.own_us,
            "confirm_p50_us": self.confirm_us[0],
            "confirm_p99_us": self.confirm_us[1],
            "end_to_end_p50_us": self.end_to_end_us[0],
            "end_to_end_p99_us": self.end_to_end_us[1],
            "bars": bars,
        })
    }
}

fn pair([p50, p99]: [Option<u32>; 2]) -> String {
    match (p50, p99) {
        (Some(p50), Some(p99)) => format!("p50 {p50} us, p99 {p99} us"),
        _ => "not measured".to_owned(),
    }
}
