//! Numbers that nobody can guess.

/// A secret for an engine.
///
/// # Panics
/// As [`random`].
#[must_use]
pub(crate) fn random_seed() -> broker::Seed {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system has randomness once it is up");
    broker::Seed(seed)
}

/// A random number from the operating system.
///
/// Names of queues, reply addresses, salts and the marks of journal entries are made of these. Costs a system
/// call.
///
/// # Panics
/// When the operating system has no randomness, which happens only before it is up.
#[must_use]
pub(crate) fn random() -> u64 {
    getrandom::u64().expect("the operating system has randomness once it is up")
}
