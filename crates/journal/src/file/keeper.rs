//! What time brings to the logs of a journal.

use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::Running;
use super::session::lock;

/// One thread that looks, again and again, how much room the logs have: others fill the disk, and clean up. What a new log
/// wants in advance it has made after its first round: many logs that are claimed at once should be claimed first.
#[derive(Default)]
pub(super) struct Keeper(Mutex<KeeperState>);

#[derive(Default)]
struct KeeperState {
    logs: Vec<Weak<Running>>,
    is_running: bool,
}

/// How often it looks for room where there was none.
const ROUND: Duration = Duration::from_secs(1);

/// In one of so many rounds it looks how much room is left, and what is not used any more.
const ROUNDS_BETWEEN_LOOKS: u64 = 5;

impl Keeper {
    /// Takes a log in, until it is stopped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn keep(self: &Arc<Keeper>, log: &Arc<Running>) -> io::Result<()> {
        let mut state = lock(&self.0);
        if !state.is_running {
            let keeper = self.clone();
            thread::Builder::new().name("journal-keeper".into()).spawn(move || keeper.run())?;
            state.is_running = true;
        }
        state.logs.push(Arc::downgrade(log));
        Ok(())
    }

    fn run(&self) {
        for round in 1_u64.. {
            thread::sleep(ROUND);
            let logs = self.living();
            if logs.is_empty() {
                return;
            }
            for log in logs {
                if round.is_multiple_of(ROUNDS_BETWEEN_LOOKS) {
                    log.spares.look();
                    log.bodies.rest();
                }
                log.spares.try_for_room();
            }
        }
    }

    /// Forgets the logs that are stopped. When there is none, the thread has ended.
    fn living(&self) -> Vec<Arc<Running>> {
        let mut state = lock(&self.0);
        let logs: Vec<_> =
            state.logs.iter().filter_map(Weak::upgrade).filter(|log| !log.session.is_stopped()).collect();
        state.logs = logs.iter().map(Arc::downgrade).collect();
        state.is_running = !logs.is_empty();
        logs
    }
}
