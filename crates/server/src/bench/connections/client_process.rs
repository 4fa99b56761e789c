//! The inside of a client process: callers, told by standard input, telling by standard output.
//!
//! ```text
//!  in:   {"door":..,"connections":10000,..}    the assignment; the connections are opened
//!        call                                  every connection sends its calls
//!        (end)                                 the connections are closed, the process ends
//!  out:  {"opened":64,..}                      a tally, whenever something has changed
//! ```

use std::io::{self, BufRead, Write};
use std::time::Duration;

use tokio::sync::mpsc;

use super::callers::{Assignment, Callers};
use super::tally::Tally;
use crate::limits;

/// The order to call.
pub(super) const CALL: &str = "call";
/// Between two tallies that are no milestone.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Does what standard input says, until its end.
///
/// # Errors
/// When the first line is no assignment, or the pipes break.
pub(crate) fn run() -> io::Result<()> {
    limits::raise_descriptor_limit();
    let mut first = String::new();
    io::stdin().lock().read_line(&mut first)?;
    let assignment: Assignment = serde_json::from_str(&first)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(assignment))
}

async fn serve(assignment: Assignment) -> io::Result<()> {
    let mut orders = orders();
    let callers = Callers::start(assignment);
    let mut told = Tally::default();
    let mut clock = tokio::time::interval(TELL_EVERY);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(()) => callers.call(),
                None => return Ok(()),
            },
            () = callers.milestone() => {}
            _ = clock.tick() => {}
        }
        let tally = callers.tally();
        if tally != told {
            tell(&tally)?;
            told = tally;
        }
    }
}

/// The orders to call. Ends with standard input, also when the process at its other side dies.
fn orders() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    // Reading standard input blocks, and has a thread for it.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if line == CALL && sender.blocking_send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn tell(tally: &Tally) -> io::Result<()> {
    let mut line = serde_json::to_vec(tally)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
