//! What is told of a whole run.

use bench::{DiskSpeed, Figures, Latencies};
use serde_json::{Value, json};

use super::aims::{Aim, aims};
use super::call::CallFigures;
use super::row::Row;
use super::run::{self, OURS};

/// One row of one broker, measured once or, taken together, several times.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) in_per_s: Option<f64>,
    pub(super) out_per_s: Option<f64>,
    pub(super) server_us: Option<f64>,
    pub(super) own_us: Option<f64>,
    /// p50 and p99, in microseconds.
    pub(super) confirm_us: [Option<f64>; 2],
    pub(super) end_to_end_us: [Option<f64>; 2],
    /// What only this row has.
    pub(super) others: Vec<(&'static str, f64)>,
}

/// The disk and all rows of one run.
pub(super) struct Report {
    pub(super) disk: DiskSpeed,
    lines: Vec<Line>,
}

/// All that was measured of one row.
pub(super) struct Line {
    pub(super) row: Row,
    /// By the name of the broker, in the order of the measuring.
    cells: Vec<(String, Vec<Cell>)>,
}

impl Cell {
    pub(super) fn of(figures: Figures) -> Self {
        Self {
            in_per_s: Some(figures.in_per_s()),
            out_per_s: Some(figures.out_per_s()),
            server_us: figures.server_us(),
            own_us: Some(figures.own_us()),
            confirm_us: percentiles(&figures.confirm),
            end_to_end_us: percentiles(&figures.end_to_end),
            others: Vec::new(),
        }
    }

    pub(super) fn of_latency(latency: Latencies) -> Self {
        Self { end_to_end_us: percentiles(&latency), ..Self::default() }
    }

    pub(super) fn of_calls(figures: CallFigures) -> Self {
        Self {
            out_per_s: Some(figures.calls_per_s),
            server_us: figures.server_us,
            end_to_end_us: percentiles(&figures.latency),
            ..Self::default()
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: Option<f64>) -> Self {
        self.others.extend(value.map(|value| (name, value)));
        self
    }

    /// Of processor time the least, since others on the machine only add to it; of all else the middle.
    fn of_runs(cells: &[Self]) -> Self {
        let all = |of: &dyn Fn(&Self) -> Option<f64>| -> Vec<f64> {
            let mut values: Vec<f64> = cells.iter().filter_map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let least = |of: &dyn Fn(&Self) -> Option<f64>| all(of).first().copied();
        let middle = |of: &dyn Fn(&Self) -> Option<f64>| {
            let values = all(of);
            values.get(values.len() / 2).copied()
        };
        let others = cells.first().map(|cell| cell.others.clone()).unwrap_or_default();
        let others = others.iter().enumerate().filter_map(|(at, (name, _))| {
            Some((*name, middle(&|cell| cell.others.get(at).map(|(_, value)| *value))?))
        });
        Self {
            in_per_s: middle(&|cell| cell.in_per_s),
            out_per_s: middle(&|cell| cell.out_per_s),
            server_us: least(&|cell| cell.server_us),
            own_us: least(&|cell| cell.own_us),
            confirm_us: [0, 1].map(|at| middle(&|cell| cell.confirm_us[at])),
            end_to_end_us: [0, 1].map(|at| middle(&|cell| cell.end_to_end_us[at])),
            others: others.collect(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "in_per_s": self.in_per_s,
            "out_per_s": self.out_per_s,
            "server_cpu_us_per_message": self.server_us,
            "generator_cpu_us_per_message": self.own_us,
            "confirm_us_p50_p99": self.confirm_us,
            "end_to_end_us_p50_p99": self.end_to_end_us,
            "others": self.others.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
        })
    }
}

fn percentiles(latencies: &Latencies) -> [Option<f64>; 2] {
    [0.5, 0.99].map(|share| latencies.quantile_us(share).map(|us| us as f64))
}

impl Line {
    /// What was measured of a broker.
    pub(super) fn of(&self, subject: &str) -> Option<Cell> {
        let (_, cells) = self.cells.iter().find(|(name, _)| name == subject)?;
        Some(Cell::of_runs(cells))
    }

    /// Each broker with what was measured of it.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&str, Cell)> {
        self.cells.iter().map(|(name, cells)| (name.as_str(), Cell::of_runs(cells)))
    }
}

impl Report {
    pub(super) fn new(disk: DiskSpeed) -> Self {
        Self { disk, lines: Vec::new() }
    }

    pub(super) fn add(&mut self, row: Row, subject: &str, cell: Cell) {
        let name = row.name();
        let at = self.lines.iter().position(|line| line.row.name() == name).unwrap_or_else(|| {
            self.lines.push(Line { row, cells: Vec::new() });
            self.lines.len() - 1
        });
        let cells = &mut self.lines[at].cells;
        match cells.iter_mut().find(|(name, _)| name == subject) {
            Some((_, cells)) => cells.push(cell),
            None => cells.push((subject.to_owned(), vec![cell])),
        }
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What was measured of a broker in a row.
    pub(super) fn find(&self, row: &str, subject: &str) -> Option<Cell> {
        self.lines.iter().find(|line| line.row.name() == row)?.of(subject)
    }

    pub(super) fn markdown(&self) -> String {
        let DiskSpeed { sync_4k_p50_us, sync_4k_p99_us, synced_mb_per_s } = self.disk;
        let machine = run::machine().unwrap_or_default();
        let mut text = format!(
            "{machine}; the disk beside: 4 KB written and synced in {sync_4k_p50_us} us (p99 {sync_4k_p99_us}), 1 MB writes \
             synced at {synced_mb_per_s:.0} MB/s. The load generator ran on the same cores.\n\n\
             | row | broker | CPU us/msg | in/s | out/s | confirm p50 / p99 us | end to end p50 / p99 us | |\n\
             |---|---|---|---|---|---|---|---|\n"
        );
        for line in &self.lines {
            let ours = line.of(OURS).unwrap_or_default();
            for (subject, cell) in line.cells() {
                let others: Vec<String> =
                    cell.others.iter().map(|(name, value)| format!("{name}: {value:.0}")).collect();
                let ratio = cell.server_us.zip(ours.server_us).map(|(other, ours)| other / ours);
                let ratio = ratio.filter(|_| subject != OURS).map(|ratio| format!("{ratio:.2} x the CPU"));
                let notes: Vec<String> = others.into_iter().chain(ratio).collect();
                text += &format!(
                    "| {} | {subject} | {} | {} | {} | {} | {} | {} |\n",
                    line.row.name(),
                    number(cell.server_us, 2),
                    number(cell.in_per_s, 0),
                    number(cell.out_per_s, 0),
                    pair(cell.confirm_us),
                    pair(cell.end_to_end_us),
                    notes.join(", ")
                );
            }
        }
        text += "\n";
        for line in &self.lines {
            text += &format!("- *{}*: {}\n", line.row.name(), line.row.description());
        }
        text += "\n| aim | bar | figure | |\n|---|---|---|---|\n";
        for Aim { name, figure, limit, is_below } in aims(self) {
            let is_met = if is_below { figure <= limit } else { figure >= limit };
            let (sign, verdict) =
                (if is_below { "<" } else { ">" }, if is_met { "met" } else { "**missed**" });
            let digits = if limit < 100.0 { 2 } else { 0 };
            text += &format!("| {name} | {sign} {limit:.digits$} | {figure:.digits$} | {verdict} |\n");
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let disk = json!({
            "sync_4k_p50_us": self.disk.sync_4k_p50_us,
            "sync_4k_p99_us": self.disk.sync_4k_p99_us,
            "synced_mb_per_s": self.disk.synced_mb_per_s,
        });
        let rows: Vec<Value> = (self.lines.iter())
            .flat_map(|line| {
                let name = line.row.name();
                line.cells()
                    .map(|(subject, cell)| json!({ "row": name, "broker": subject, "figures": cell.json() }))
                    .collect::<Vec<_>>()
            })
            .collect();
        let aims: Vec<Value> = (aims(self).iter())
            .map(|aim| json!({ "aim": aim.name, "figure": aim.figure, "limit": aim.limit, "below": aim.is_below }))
            .collect();
        json!({ "disk": disk, "rows": rows, "aims": aims })
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

fn pair([p50, p99]: [Option<f64>; 2]) -> String {
    match (p50, p99) {
        (Some(p50), Some(p99)) => format!("{p50:.0} / {p99:.0}"),
        _ => "-".to_owned(),
    }
}
