//! The rows as a picture.

use super::report::Report;
use super::run::{NULL, OURS};

const WIDTH: usize = 960;
/// Behind the longest bar, for what it says.
const RIGHT: usize = 260;
const LEFT: usize = 90;
const BAR_HEIGHT: usize = 16;
const GAP: usize = 14;
const HEAD: usize = 48;

/// Processor time for each message of all brokers, as bars, SVG. The axis is logarithmic: what is compared are ratios.
pub(super) fn picture(report: &Report) -> String {
    let rows: Vec<(String, Vec<(String, f64)>)> = (report.lines().iter())
        .map(|line| {
            let bars = line.cells().filter_map(|(subject, cell)| Some((subject.to_owned(), cell.server_us?)));
            (line.row.name(), bars.collect::<Vec<_>>())
        })
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let values = || rows.iter().flat_map(|(_, bars)| bars).map(|(_, us)| us.log10());
    let (low, high) = (values().fold(0.0, f64::min).floor(), values().fold(1.0, f64::max).ceil());
    let at = |log: f64| LEFT as f64 + (log - low) / (high - low) * (WIDTH - LEFT - RIGHT) as f64;
    let (mut y, mut shapes) = (HEAD, String::new());
    for (name, bars) in &rows {
        shapes += &format!("<text x=\"8\" y=\"{}\">{name}</text>\n", y + 12);
        for (subject, us) in bars {
            let color = match subject.as_str() {
                OURS => "#1f6f8b",
                NULL => "#b8c4c8",
                _ => "#e07a3f",
            };
            let width = (at(us.log10()) - LEFT as f64).max(1.0);
            shapes += &format!(
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.0}\" height=\"{}\" fill=\"{color}\"/>\n\
                 <text x=\"{:.0}\" y=\"{}\">{us:.2} {subject}</text>\n",
                BAR_HEIGHT - 3,
                LEFT as f64 + width + 5.0,
                y + 11
            );
            y += BAR_HEIGHT;
        }
        y += GAP;
    }
    let mut axis = String::new();
    for log in low as i32..=high as i32 {
        let (x, us) = (at(log.into()), 10_f64.powi(log));
        axis += &format!(
            "<line x1=\"{x:.0}\" y1=\"{}\" x2=\"{x:.0}\" y2=\"{y}\" stroke=\"#ddd\"/><text x=\"{x:.0}\" y=\"{}\">{us}</text>\n",
            HEAD - 6,
            HEAD - 10
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{y}\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"16\" font-size=\"13\">Processor time of the broker for each message, in microseconds: less is \
         better</text>\n{axis}{shapes}</svg>\n"
    )
}
