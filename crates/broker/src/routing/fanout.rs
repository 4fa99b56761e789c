//! Fanout exchanges: every binding takes every message.

use crate::record::Destination;

use super::remove_one;

#[derive(Debug, Default)]
pub(crate) struct Fanout {
    destinations: Vec<Destination>,
}

impl Fanout {
    pub(super) fn add(&mut self, destination: &Destination) {
        self.destinations.push(destination.clone());
    }

    pub(super) fn remove(&mut self, destination: &Destination) {
        remove_one(&mut self.destinations, destination);
    }

    pub(super) fn route(&self, found: &mut dyn FnMut(&Destination)) {
        self.destinations.iter().for_each(found);
    }
}
