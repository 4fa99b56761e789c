//! Direct exchanges: the routing key equals the binding key, byte for byte.

use std::collections::BTreeMap;

use field_table::ShortString;

use super::remove_one;
use crate::record::Destination;

#[derive(Debug, Default)]
pub(crate) struct Direct {
    by_key: BTreeMap<ShortString, Vec<Destination>>,
}

impl Direct {
    pub(super) fn add(&mut self, key: &ShortString, destination: &Destination) {
        self.by_key.entry(key.clone()).or_default().push(destination.clone());
    }

    pub(super) fn remove(&mut self, key: &ShortString, destination: &Destination) {
        let Some(destinations) = self.by_key.get_mut(key) else { return };
        remove_one(destinations, destination);
        if destinations.is_empty() {
            self.by_key.remove(key);
        }
    }

    pub(super) fn route(&self, key: &[u8], found: &mut dyn FnMut(&Destination)) {
        self.by_key.get(key).into_iter().flatten().for_each(found);
    }
}
