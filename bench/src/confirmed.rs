//! Counting confirms.

use std::collections::BTreeSet;

/// Which publishes are confirmed: all up to one of them, and those that a broker confirmed out of order.
#[derive(Debug, Default)]
pub struct Confirmed {
    up_to: u64,
    beyond: BTreeSet<u64>,
}

impl Confirmed {
    /// The broker confirmed one publish, or all up to it.
    pub fn on_ack(&mut self, tag: u64, multiple: bool) {
        if multiple {
            self.up_to = self.up_to.max(tag);
            self.beyond.retain(|&beyond| beyond > tag);
        } else {
            self.beyond.insert(tag);
        }
        while self.beyond.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }

    /// All publishes up to this one are confirmed.
    pub fn up_to(&self) -> u64 {
        self.up_to
    }

    /// How many publishes are confirmed.
    pub fn count(&self) -> u64 {
        self.up_to + self.beyond.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_out_of_order_are_counted_once() {
        let mut confirmed = Confirmed::default();
        for (tag, multiple, count) in
            [(2, false, 1), (4, false, 2), (3, true, 4), (6, false, 5), (5, false, 6), (9, true, 9)]
        {
            confirmed.on_ack(tag, multiple);
            assert_eq!(confirmed.count(), count, "after {tag}");
        }
        assert_eq!(confirmed.up_to, 9);
    }
}
