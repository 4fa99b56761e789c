//! The log of a run: every line with its simulated time, and one number for all of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::agenda::Micros;

/// Lines that are kept to be shown when something is wrong.
const KEPT_LINES_MAX: usize = 400;

thread_local! {
    /// What the production code logged since it was last asked for.
    static LOGGED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The log of a run.
#[derive(Debug)]
pub struct Trace {
    /// Print lines as they come.
    echo: bool,
    kept: VecDeque<String>,
    lines: u64,
    digest: u64,
}

impl Trace {
    /// An empty log.
    #[must_use]
    pub fn new(echo: bool) -> Self {
        // The offset basis of FNV-1a.
        Self { echo, kept: VecDeque::new(), lines: 0, digest: 0xcbf2_9ce4_8422_2325 }
    }

    /// Adds a line.
    pub fn line(&mut self, now: Micros, text: &str) {
        let line = format!("{:>5}.{:06} {text}", now / 1_000_000, now % 1_000_000);
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.lines += 1;
        if self.echo {
            println!("{line}");
        }
        if self.kept.len() == KEPT_LINES_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
    }

    /// Prints lines that are there only for who reads along.
    pub fn aside(&self, now: Micros, lines: Vec<String>) {
        for line in lines.iter().filter(|_| self.echo) {
            println!("{:>5}.{:06} {line}", now / 1_000_000, now % 1_000_000);
        }
    }

    /// Adds what the production code has logged meanwhile.
    pub fn take_logged(&mut self, now: Micros) {
        for line in LOGGED.take() {
            self.line(now, &line);
        }
    }

    /// A number that two runs share if they said the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many lines there were.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.kept.iter().cloned().collect()
    }
}

/// Takes the log of the production code on this thread; give it to [`tracing::subscriber::set_default`].
#[derive(Debug)]
pub struct Capture;

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        event.record(&mut Text(&mut line));
        LOGGED.with_borrow_mut(|logged| logged.push(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}
