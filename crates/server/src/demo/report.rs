//! What was measured, as a table and in words.

use std::fmt::{self, Display, Formatter};

use super::chapters::direct::Step;
use super::chapters::queued::Queued;
use super::chapters::waiting::Waiting;
use super::latency::{Latencies, show};

/// What was measured.
#[derive(Debug)]
pub(crate) struct Report {
    pub(super) direct: Vec<Step>,
    pub(super) queued: Queued,
    pub(super) waiting: Waiting,
}

impl Report {
    /// What broke the promise, if anything did: something accepted that was lost, or an answer that did not come or was
    /// somebody else's.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { queued, waiting, .. } = self;
        let mut problems = Vec::new();
        if queued.failed > 0 {
            problems.push(format!("{} orders were not accepted by the queue", queued.failed));
        }
        let lost = queued.delivered.lost + waiting.delivered.lost;
        if lost > 0 {
            problems.push(format!("{lost} messages were accepted and never reached the provider"));
        }
        if let Some(first) = waiting.wrong.first() {
            let count = waiting.wrong.len();
            problems.push(format!("{count} callers did not get their own answer, the first: {first}"));
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn words(&self) -> [String; 3] {
        let Self { direct, queued, waiting } = self;
        let most = direct.last().map_or(String::new(), |step| {
            let (callers, longest) = (step.callers, step.answered.shown(100));
            match step.failed() {
                0 => format!("All of {callers} callers were answered within {longest}."),
                failed => format!(
                    "With {callers} callers {failed} got an error, and the others waited up to {longest}."
                ),
            }
        });
        let drained = show(queued.drained_in);
        [
            format!("{most} Whoever calls a slow service inherits its limits."),
            format!(
                "Everyone was answered when the task was on disk. Up to {} waited in the queue, which was empty {drained} \
                 later. Of {} messages {} reached the provider once, {} more than once; lost: {}.",
                queued.backlog_highest,
                queued.answered.count(),
                queued.delivered.once,
                queued.delivered.repeated,
                queued.delivered.lost,
            ),
            format!(
                "A worker was killed, and the broker was away for {}. {} times a caller repeated its request, with its \
                 Idempotency-Key. {} Without their own answer: {}; lost: {}.",
                show(waiting.broker_away),
                waiting.repeated_requests,
                repeats(waiting.delivered.repeated),
                waiting.wrong.len(),
                waiting.delivered.lost,
            ),
        ]
    }
}

/// What is said of messages that were handed in again.
fn repeats(count: usize) -> String {
    match count {
        0 => "No message reached the provider twice this time; after a kill that can happen, since delivery is at \
              least once."
            .to_owned(),
        count => format!(
            "{count} reached the provider twice, which it knew by the id of the task: delivery is at least once."
        ),
    }
}

/// One line of the table.
struct Row<'a> {
    what: &'a str,
    callers: usize,
    answered: &'a Latencies,
    failed: usize,
}

impl Display for Row<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { what, callers, answered, failed } = self;
        let (half, most) = (answered.shown(50), answered.shown(99));
        writeln!(formatter, "{what:<37}{callers:>8}{:>10}{half:>9}{most:>9}{failed:>6}", answered.count())
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { direct, queued, waiting } = self;
        let heads = ("", "callers", "answered", "p50", "p99", "failed");
        writeln!(
            formatter,
            "{:<36}{:>9}{:>10}{:>8}{:>9}{:>7}",
            heads.0, heads.1, heads.2, heads.3, heads.4, heads.5
        )?;
        for (number, Step { callers, answered, .. }) in direct.iter().enumerate() {
            let what = if number == 0 { "1 the handler calls the provider" } else { "" };
            Row { what, callers: *callers, answered, failed: direct[number].failed() }.fmt(formatter)?;
        }
        let Queued { callers, answered, failed, .. } = queued;
        Row { what: "2 it puts the task into the queue", callers: *callers, answered, failed: *failed }
            .fmt(formatter)?;
        let Waiting { callers, answered, wrong, .. } = waiting;
        Row { what: "3 callers wait, through two kills", callers: *callers, answered, failed: wrong.len() }
            .fmt(formatter)?;
        for (index, words) in self.words().iter().enumerate() {
            writeln!(formatter, "\n{}", wrapped(&format!("{}. {words}", index + 1)))?;
        }
        Ok(())
    }
}

/// The columns that every terminal has.
const COLUMNS: usize = 79;

/// Broken into lines between words.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            lines.push_str("\n   ");
            column = 3;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::chapters::queued::Delivered;
    use super::*;

    fn latencies(milliseconds: &[u64]) -> Latencies {
        milliseconds.iter().copied().map(Duration::from_millis).collect()
    }

    fn report() -> Report {
        let direct = vec![
            Step { callers: 50, answered: latencies(&[20; 50]), failures: BTreeMap::new() },
            Step {
                callers: 500,
                answered: latencies(&[900; 204]),
                failures: [("503".to_owned(), 296)].into(),
            },
        ];
        let queued = Queued {
            callers: 500,
            answered: latencies(&[8; 1000]),
            failed: 0,
            delivered: Delivered { once: 999, repeated: 1, lost: 0 },
            backlog_highest: 870,
            drained_in: Duration::from_millis(4900),
        };
        let waiting = Waiting {
            callers: 500,
            answered: latencies(&[2000; 500]),
            wrong: Vec::new(),
            repeated_requests: 267,
            delivered: Delivered { once: 494, repeated: 6, lost: 0 },
            broker_away: Duration::from_millis(400),
        };
        Report { direct, queued, waiting }
    }

    #[test]
    fn each_row_has_its_figures_and_its_words() {
        let shown = report().to_string();
        for row in [
            "1 the handler calls the provider           50        50    20 ms    20 ms     0\n",
            "                                          500       204   900 ms   900 ms   296\n",
            "2 it puts the task into the queue         500      1000   8.0 ms   8.0 ms     0\n",
            "3 callers wait, through two kills         500       500    2.0 s    2.0 s     0\n",
        ] {
            assert!(shown.contains(row), "{row} in\n{shown}");
        }
        assert!(shown.contains("267 times a caller"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
    }

    #[test]
    fn it_does_not_boast_of_repeats_that_did_not_happen() {
        let mut report = report();
        assert!(report.words()[2].contains("6 reached the provider twice"));
        report.waiting.delivered.repeated = 0;
        assert!(report.words()[2].contains("No message reached the provider twice this time"));
    }

    #[test]
    fn errors_of_those_who_call_the_provider_itself_are_no_problem_of_the_queue() {
        assert_eq!(report().problem(), None);
    }

    #[test]
    fn whatever_is_lost_or_wrong_is_a_problem() {
        let mut lost = report();
        lost.queued.delivered.lost = 1;
        assert!(lost.problem().unwrap().contains("1 messages were accepted"));
        let mut refused = report();
        refused.queued.failed = 2;
        assert!(refused.problem().unwrap().contains("2 orders"));
        let mut wrong = report();
        wrong.waiting.wrong = vec!["not done in time".to_owned()];
        assert!(wrong.problem().unwrap().contains("not done in time"));
    }
}
