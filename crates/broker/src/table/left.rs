//! What has left memory but for its bytes.

use std::sync::Arc;

use super::Changes;

/// Rows that nobody looks at any more. To free many of them takes its time: drop them where nobody waits.
#[derive(Debug, Default)]
pub struct LeftRows(Vec<Arc<Changes>>);

impl LeftRows {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in others.
    pub fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub(super) fn push(&mut self, changes: Arc<Changes>) {
        self.0.push(changes);
    }
}
