//! The text format of Prometheus.

use std::fmt::Write;

/// Metric families as text, one after the other.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// A family that takes samples.
pub(super) struct Family<'text> {
    name: &'static str,
    text: &'text mut String,
}

impl Exposition {
    /// Begins a family of values that go up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a family of values that only grow.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes every text");
        Family { name, text: &mut self.text }
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample with labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: u64) -> &mut Self {
        self.text.push_str(self.name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push_str(if index == 0 { "{" } else { "," });
            write!(self.text, "{label}=\"{}\"", Escaped(text)).expect("a string takes every text");
        }
        self.text.push_str(if labels.is_empty() { "" } else { "}" });
        writeln!(self.text, " {value}").expect("a string takes every text");
        self
    }

    /// Adds the one sample of a family without labels.
    pub(super) fn value(&mut self, value: u64) {
        self.sample(&[], value);
    }
}

struct Escaped<'text>(&'text str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => formatter.write_str("\\\\"),
            '"' => formatter.write_str("\\\""),
            '\n' => formatter.write_str("\\n"),
            other => formatter.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_help_type_and_samples() {
        let mut exposition = Exposition::default();
        exposition
            .gauge("depth", "Messages.")
            .sample(&[("queue", "a\"b\\c\nd"), ("vhost", "/")], 7)
            .sample(&[], 8);
        exposition.counter("seen_total", "All.").value(9);
        assert_eq!(
            exposition.into_text(),
            "# HELP depth Messages.\n# TYPE depth gauge\n\
             depth{queue=\"a\\\"b\\\\c\\nd\",vhost=\"/\"} 7\ndepth 8\n\
             # HELP seen_total All.\n# TYPE seen_total counter\nseen_total 9\n"
        );
    }
}
