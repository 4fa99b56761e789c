//! What the slots share: the state of the broker, told once, and the one who listens.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Event;

/// Tells events on, and the coming and going of the broker once for all slots.
pub(super) struct Line {
    is_away: AtomicBool,
    observe: Box<dyn Fn(Event<'_>) + Send + Sync>,
}

impl Line {
    pub(super) fn new(observe: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        Self { is_away: AtomicBool::new(false), observe: Box::new(observe) }
    }

    pub(super) fn tell(&self, event: Event<'_>) {
        (self.observe)(event);
    }

    /// The broker gave no answer, or none that helps.
    pub(super) fn failed(&self, reason: &dyn std::fmt::Display) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            self.tell(Event::BrokerAway(&reason.to_string()));
        }
    }

    /// The broker answered.
    pub(super) fn works(&self) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            self.tell(Event::BrokerBack);
        }
    }
}
