//! Checks of the journal's contract, the same for every engine: one is finished when it passes.
//!
//! ```
//! use journal::conformance::{Subject, check};
//! use journal::{Journal, MemoryJournal};
//!
//! struct InMemory(MemoryJournal);
//!
//! impl Subject for InMemory {
//!     fn fresh() -> Self {
//!         InMemory(MemoryJournal::automatic())
//!     }
//!     fn journal(&self) -> &dyn Journal {
//!         &self.0
//!     }
//!     fn restart(&mut self) {
//!         self.0.crash(0);
//!     }
//! }
//!
//! check::<InMemory>();
//! ```

mod claims;
mod entries;
mod harness;
mod reads;
mod space;

pub use self::harness::Subject;

/// Runs all checks on an engine, each on a fresh journal.
///
/// # Panics
/// At the first check that fails, and after 30 seconds in which something expected did not happen.
pub fn check<S: Subject>() {
    entries::an_empty_log_has_no_tail::<S>();
    entries::what_was_durable_is_replayed::<S>();
    entries::replay_starts_behind_the_cursor::<S>();
    entries::sizes_from_empty_to_large::<S>();
    entries::wakes_follow_progress_and_may_append::<S>();
    entries::nothing_stays_in_flight::<S>();
    entries::closing_waits_for_all::<S>();
    entries::dropping_a_writer_loses_nothing_durable::<S>();
    entries::a_gap_in_the_numbers_is_refused::<S>();
    claims::a_later_claim_fences::<S>();
    claims::a_lower_epoch_is_superseded::<S>();
    claims::the_same_epoch_may_claim_again::<S>();
    claims::logs_do_not_mix::<S>();
    claims::a_foreign_cursor_is_refused::<S>();
    claims::a_cursor_above_the_tail_is_refused::<S>();
    claims::a_destroyed_log_starts_again::<S>();
    reads::any_part_in_any_order::<S>();
    reads::mistaken_reads_are_answered::<S>();
    reads::entries_of_earlier_claims::<S>();
    space::trimming_frees_whole_segments::<S>();
    space::kept_entries_stay_readable::<S>();
    space::replay_of_a_trimmed_log::<S>();
}
