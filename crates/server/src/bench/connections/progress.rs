//! What the person at the terminal sees while it works: on standard error, so that the result stays clean.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// One line at a time. On a terminal it counts; elsewhere there is one line for each phase.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    is_terminal: bool,
    phase: String,
    /// When the line was written last.
    shown: Option<Instant>,
}

const SHOW_EVERY: Duration = Duration::from_millis(100);

impl Progress {
    /// The clock starts.
    pub(super) fn start() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { started: Instant::now(), is_terminal, phase: String::new(), shown: None }
    }

    /// Something that has to be known.
    pub(super) fn notice(&mut self, text: &str) {
        self.clear();
        eprintln!("Note: {text}");
    }

    /// Something new begins.
    pub(super) fn phase(&mut self, text: &str) {
        text.clone_into(&mut self.phase);
        self.shown = None;
        if self.is_terminal {
            self.write("");
        } else {
            eprintln!("{:5.1} s  {text}", self.started.elapsed().as_secs_f64());
        }
    }

    /// How far it is.
    pub(super) fn count(&mut self, done: u64, all: u64) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= SHOW_EVERY);
        if self.is_terminal && is_due {
            self.write(&format!(": {done} of {all}"));
            self.shown = Some(Instant::now());
        }
    }

    fn write(&self, count: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let mut out = std::io::stderr().lock();
        // A terminal that is gone is no reason to stop.
        let _ = write!(out, "\r\x1b[K{seconds:5.1} s  {}{count}", self.phase).and_then(|()| out.flush());
    }

    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// The result, or an error's text, begins on a line of its own.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
