//! A broken promise.

/// What the broker did, and which promise it broke by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breach(pub(super) String);

impl std::fmt::Display for Breach {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "BREACH: {}", self.0)
    }
}

impl std::error::Error for Breach {}

/// Returns a [`Breach`] from the surrounding function unless the condition holds.
macro_rules! must {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::crash::breach::Breach(format!($($what)+)).into());
        }
    };
}

pub(super) use must;
