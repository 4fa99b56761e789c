//! The simulation itself: that a seed is a seed, that seeds are clean, and that it bites.

mod determinism;
#[cfg(feature = "planted")]
mod planted;
mod seeds;
