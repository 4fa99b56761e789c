//! Threads for work that comes and goes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::session::lock;

/// Threads that all logs of a journal share for one kind of work: started when there is more of it than threads, and ended when
/// there was none for a while. So a log at rest takes no thread, and a thousand busy ones take no thousand.
pub(super) struct Crew {
    name: &'static str,
    threads_max: usize,
    state: Mutex<CrewState>,
}

/// Something that a crew works on, a step at a time.
pub(super) trait Work: Send + Sync {
    /// Does some of it. False if nothing is left: whoever brings more hands it to the crew again.
    fn step(&self) -> bool;
}

#[derive(Default)]
struct CrewState {
    /// What waits for a thread.
    work: VecDeque<Arc<dyn Work>>,
    threads: usize,
    /// The one that has worked last is at the end: its caches are warm, and those in front of it may end.
    idle: Vec<Thread>,
}

/// Corrects the count of threads when one panics.
struct Member<'crew>(&'crew Crew);

/// How long a thread waits for work before it ends.
const IDLE_MAX: Duration = Duration::from_secs(1);

impl Crew {
    pub(super) fn new(name: &'static str, threads_max: usize) -> Arc<Crew> {
        Arc::new(Crew { name, threads_max, state: Mutex::default() })
    }

    /// Has a thread work on this until nothing of it is left. Not again before that.
    ///
    /// # Errors
    /// When there is no thread, and none can be started.
    pub(super) fn hand(self: &Arc<Crew>, work: Arc<dyn Work>) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.work.push_back(work);
        if let Some(thread) = state.idle.pop() {
            drop(state);
            thread.unpark();
            return Ok(());
        }
        if state.threads == self.threads_max {
            return Ok(());
        }
        let crew = self.clone();
        match thread::Builder::new().name(self.name.into()).spawn(move || crew.run()) {
            Ok(_) => state.threads += 1,
            // Those that are there will come to it.
            Err(_) if state.threads > 0 => {}
            Err(error) => {
                state.work.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    fn run(&self) {
        let _member = Member(self);
        let mut state = lock(&self.state);
        while let Some(work) = self.next(state) {
            let has_more = work.step();
            state = lock(&self.state);
            if has_more {
                // Behind those that wait: everyone has a turn.
                state.work.push_back(work);
            }
        }
    }

    /// What comes next, when it comes. `None` if the thread is not needed any more.
    fn next<'crew>(&'crew self, mut state: MutexGuard<'crew, CrewState>) -> Option<Arc<dyn Work>> {
        let idle_since = Instant::now();
        loop {
            if let Some(work) = state.work.pop_front() {
                return Some(work);
            }
            let this = thread::current();
            state.idle.push(this.clone());
            drop(state);
            thread::park_timeout(IDLE_MAX);
            state = lock(&self.state);
            let still_idle = state.idle.iter().position(|idle| idle.id() == this.id());
            still_idle.map(|at| state.idle.remove(at));
            if still_idle.is_some() && idle_since.elapsed() >= IDLE_MAX && state.work.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(&self.0.state).threads -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Steps {
        left: AtomicUsize,
        done: AtomicUsize,
    }

    impl Steps {
        fn new(left: usize) -> Arc<Steps> {
            Arc::new(Steps { left: AtomicUsize::new(left), done: AtomicUsize::new(0) })
        }
    }

    impl Work for Steps {
        fn step(&self) -> bool {
            self.done.fetch_add(1, Ordering::SeqCst);
            self.left.fetch_sub(1, Ordering::SeqCst) > 1
        }
    }

    struct Panics;

    impl Work for Panics {
        fn step(&self) -> bool {
            panic!("as the test wants it")
        }
    }

    struct Meets(Barrier);

    impl Work for Meets {
        fn step(&self) -> bool {
            self.0.wait();
            false
        }
    }

    fn wait_until(what: &str, is_true: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_true() {
            assert!(started.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn threads(crew: &Crew) -> usize {
        lock(&crew.state).threads
    }

    #[test]
    fn all_steps_of_all_works_are_done_by_few_threads() {
        let crew = Crew::new("test", 3);
        let works: Vec<_> = (1..=50).map(Steps::new).collect();
        for work in &works {
            crew.hand(work.clone()).unwrap();
            assert!(threads(&crew) <= 3);
        }
        for (number, work) in works.iter().enumerate() {
            wait_until("all steps", || work.left.load(Ordering::SeqCst) == 0);
            assert_eq!(work.done.load(Ordering::SeqCst), number + 1);
        }
    }

    #[test]
    fn what_waits_gets_threads_up_to_the_bound_and_no_more_when_it_is_over() {
        let crew = Crew::new("test", 4);
        let meets = Arc::new(Meets(Barrier::new(4)));
        (0..4).for_each(|_| crew.hand(meets.clone()).unwrap());
        wait_until("all have ended", || threads(&crew) == 0);
        assert!(lock(&crew.state).idle.is_empty());
        let steps = Steps::new(1);
        crew.hand(steps.clone()).unwrap();
        wait_until("a new thread", || steps.done.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn a_panic_takes_one_thread_and_no_place() {
        let crew = Crew::new("test", 1);
        crew.hand(Arc::new(Panics)).unwrap();
        wait_until("the panic", || threads(&crew) == 0);
        let steps = Steps::new(2);
        crew.hand(steps.clone()).unwrap();
        wait_until("the work behind it", || steps.done.load(Ordering::SeqCst) == 2);
    }
}
