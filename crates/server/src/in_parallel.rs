//! The same work on many things that mostly wait for the disk.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Threads at most. Far more than cores: each of them waits for syncs, and the file system makes one of many that wait.
const THREADS_MAX: usize = 32;

/// Does the work on all items, several at a time. The results are in the order of the items.
///
/// # Errors
/// The first in the order of the items, as if one had come after the other; behind it nothing more is begun.
pub(crate) fn in_parallel<T: Sync, R: Send + Sync, E: Send + Sync>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let results: Vec<OnceLock<Result<R, E>>> = items.iter().map(|_| OnceLock::new()).collect();
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Items are taken in order: whatever stands before one that fails has been taken, and is finished.
    let take = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        Some((items.get(at)?, results.get(at)?))
    };
    let run = || {
        while !has_failed.load(Ordering::Relaxed)
            && let Some((item, place)) = take()
        {
            let result = work(item);
            has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
            let is_first = place.set(result).is_ok();
            debug_assert!(is_first, "each item is taken once");
        }
    };
    thread::scope(|scope| {
        for number in 1..THREADS_MAX.min(items.len()) {
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, run) {
                // Those that are there do all of it, only later.
                tracing::debug!(threads = number, %error, "no more threads can be started");
                break;
            }
        }
        run();
    });
    results.into_iter().map_while(OnceLock::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..200).collect();
        let doubled = in_parallel(&items, |item| {
            thread::sleep(Duration::from_micros(item * 7919 % 500));
            Ok::<u64, ()>(2 * item)
        });
        assert_eq!(doubled, Ok(items.iter().map(|item| 2 * item).collect()));
    }

    #[test]
    fn the_first_failure_in_order_is_told_however_late_it_comes_and_nothing_more_is_begun() {
        let (items, begun): (Vec<u64>, _) = ((0..1000).collect(), AtomicUsize::new(0));
        let outcome = in_parallel(&items, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            match *item {
                3 => thread::sleep(Duration::from_millis(50)),
                5 => {}
                _ => return Ok(()),
            }
            Err(*item)
        });
        assert_eq!(outcome, Err(3));
        assert!(begun.into_inner() < 1000);
    }

    #[test]
    fn several_are_at_work_at_once() {
        let barrier = std::sync::Barrier::new(THREADS_MAX);
        let items = [(); THREADS_MAX];
        let met = in_parallel(&items, |()| Ok::<_, ()>(barrier.wait().is_leader())).unwrap();
        assert_eq!(met.iter().filter(|is_leader| **is_leader).count(), 1);
    }

    #[test]
    fn nothing_is_no_failure() {
        assert_eq!(in_parallel(&[], |(): &()| Err::<(), ()>(())), Ok(Vec::new()));
    }
}
