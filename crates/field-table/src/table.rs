//! The ordered list of named values.

use std::slice;

use crate::{ShortString, Value};

/// Named values in the order in which they came. A key may occur more than once: all are kept and echoed.
///
/// Look-up is a walk, which is the right cost for the handful of entries that real tables have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table(Vec<(ShortString, Value)>);

impl Table {
    /// A table without entries; does not allocate.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of the first entry named `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, value)| value)
    }

    /// Whether an entry is named `key`.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Gives `key` one value: in the place of its first entry if there is one (further ones go), else at the end.
    ///
    /// Returns the value that the first entry had.
    pub fn insert(&mut self, key: ShortString, value: Value) -> Option<Value> {
        let Some(place) = self.0.iter().position(|(name, _)| *name == key) else {
            self.0.push((key, value));
            return None;
        };
        let mut index = 0;
        self.0.retain(|(name, _)| {
            let keep = index <= place || *name != key;
            index += 1;
            keep
        });
        Some(std::mem::replace(&mut self.0[place].1, value))
    }

    /// Adds an entry at the end, also when the key is there already.
    pub fn push(&mut self, key: ShortString, value: Value) {
        self.0.push((key, value));
    }

    /// Takes out all entries named `key` and returns the first one's value.
    pub fn remove(&mut self, key: &[u8]) -> Option<Value> {
        let mut first = None;
        self.0.retain_mut(|(name, value)| {
            let keep = name.as_bytes() != key;
            if !keep && first.is_none() {
                first = Some(std::mem::replace(value, Value::Void));
            }
            keep
        });
        first
    }

    /// The entries in order.
    pub fn iter(&self) -> slice::Iter<'_, (ShortString, Value)> {
        self.0.iter()
    }

    /// How many entries there are, repeated keys counted each time.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same entries sorted by key; entries of one key keep their order. Nested tables stay as they are.
    ///
    /// Two bindings are the same binding when their arguments are equal in this form (RabbitMQ's rule).
    pub fn canonical(&self) -> Self {
        let mut entries = self.0.clone();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(entries)
    }

    /// Whether both have the same keys with the [same values](Value::same_value), in whatever order of keys.
    pub fn same_values(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.canonical(), other.canonical());
        mine.len() == theirs.len()
            && mine
                .iter()
                .zip(theirs.iter())
                .all(|((a, mine), (b, theirs))| a == b && mine.same_value(theirs))
    }
}

impl From<Vec<(ShortString, Value)>> for Table {
    fn from(entries: Vec<(ShortString, Value)>) -> Self {
        Self(entries)
    }
}

impl FromIterator<(ShortString, Value)> for Table {
    fn from_iter<I: IntoIterator<Item = (ShortString, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for Table {
    type Item = (ShortString, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Table {
    type Item = &'a (ShortString, Value);
    type IntoIter = slice::Iter<'a, (ShortString, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&'static str, i64)]) -> Table {
        entries.iter().map(|(key, number)| (ShortString::from_static(key), Value::I64(*number))).collect()
    }

    #[test]
    fn get_answers_with_the_first_of_repeated_keys() {
        assert_eq!(table(&[("a", 1), ("b", 2), ("a", 3)]).get(b"a"), Some(&Value::I64(1)));
        assert_eq!(table(&[("a", 1)]).get(b"b"), None);
    }

    #[test]
    fn insert_replaces_in_place_and_leaves_one() {
        let mut headers = table(&[("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(headers.insert(ShortString::from_static("a"), Value::I64(9)), Some(Value::I64(1)));
        assert_eq!(headers.insert(ShortString::from_static("c"), Value::I64(4)), None);
        assert_eq!(headers, table(&[("a", 9), ("b", 2), ("c", 4)]));
    }

    #[test]
    fn remove_takes_every_entry_of_the_key() {
        let mut headers = table(&[("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(headers.remove(b"a"), Some(Value::I64(1)));
        assert_eq!(headers, table(&[("b", 2)]));
        assert_eq!(headers.remove(b"a"), None);
    }

    #[test]
    fn order_matters_to_equality_but_not_to_identity() {
        let (one, other) = (table(&[("a", 1), ("b", 2)]), table(&[("b", 2), ("a", 1)]));
        assert_ne!(one, other);
        assert_eq!(one.canonical(), other.canonical());
        assert!(one.same_values(&other));
        assert!(!one.same_values(&table(&[("a", 1)])));
    }
}
