//! What the demonstration shows while it plays.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

/// Lines that stay, and one that changes.
///
/// In a terminal the last line is drawn again and again. Elsewhere it is printed once a second at most, as a line like
/// all others.
pub(crate) struct Screen {
    out: Box<dyn Write + Send>,
    is_live: bool,
    has_status: bool,
    status_printed: Option<Instant>,
}

/// The width of a terminal that everybody has; a longer line would wrap and could not be drawn again.
const COLUMNS: usize = 79;
const PLAIN_STATUS_EVERY: Duration = Duration::from_secs(1);

impl Screen {
    /// Standard output; live if it is a terminal, unless plain lines are asked for.
    pub(crate) fn new(is_plain: bool) -> Self {
        Self::on(Box::new(stdout()), !is_plain && stdout().is_terminal())
    }

    fn on(out: Box<dyn Write + Send>, is_live: bool) -> Self {
        Self { out, is_live, has_status: false, status_printed: None }
    }

    /// Begins a chapter.
    pub(super) fn heading(&mut self, text: &str) {
        if self.is_live {
            self.line(&format!("\n\x1b[1m{text}\x1b[0m"));
        } else {
            self.line(&format!("\n{text}"));
        }
    }

    /// A line that stays.
    pub(crate) fn line(&mut self, text: &str) {
        let clear = if std::mem::take(&mut self.has_status) { "\r\x1b[2K" } else { "" };
        self.write(&format!("{clear}{text}\n"));
    }

    /// How it stands; replaces the last word on that.
    pub(super) fn status(&mut self, text: &str) {
        if self.is_live {
            let text: String = text.chars().take(COLUMNS).collect();
            self.write(&format!("\r\x1b[2K{text}"));
            self.has_status = true;
        } else if self.status_printed.is_none_or(|printed| printed.elapsed() >= PLAIN_STATUS_EVERY) {
            // The first one comes at the beginning, when there is nothing to tell yet.
            if self.status_printed.replace(Instant::now()).is_some() {
                self.write(&format!("{text}\n"));
            }
        }
    }

    /// A terminal that is gone is no reason to stop measuring.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn draw(is_live: bool) -> String {
        let paper = Paper::default();
        let mut screen = Screen::on(Box::new(paper.clone()), is_live);
        screen.heading("One");
        screen.status(&"long ".repeat(100));
        screen.status("50 of 100");
        screen.line("done");
        let drawn = paper.0.lock().unwrap().clone();
        String::from_utf8(drawn).unwrap()
    }

    #[test]
    fn a_terminal_shows_one_line_that_changes() {
        let drawn = draw(true);
        assert!(drawn.starts_with("\n\x1b[1mOne\x1b[0m\n\r\x1b[2Klong "), "{drawn:?}");
        assert!(drawn.ends_with("\r\x1b[2K50 of 100\r\x1b[2Kdone\n"), "{drawn:?}");
        assert!(drawn.len() < 200);
    }

    #[test]
    fn elsewhere_there_are_plain_lines_and_not_many() {
        assert_eq!(draw(false), "\nOne\ndone\n");
    }
}
