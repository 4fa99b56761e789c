//! What must never be seen.

/// A promise that was broken, as somebody has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one: `P1` to `P10`, or another rule's short name.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A broken promise.
    #[must_use]
    pub fn new(promise: &'static str, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is broken: {}", self.promise, self.what)
    }
}
