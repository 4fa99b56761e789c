//! What the demonstration is about.

use serde::{Deserialize, Serialize};

/// A text for a telephone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sms {
    /// Whom it is for.
    pub(super) to: String,
    /// What it says.
    pub(super) text: String,
}

/// What the provider gives for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// The id under which it was handed in.
    pub(super) message: String,
    /// Whom it went to.
    pub(super) to: String,
}

impl Sms {
    /// The one of this caller.
    pub(super) fn of_caller(number: usize) -> Self {
        Self { to: format!("+1555{number:06}"), text: format!("Hello, caller {number}") }
    }
}
