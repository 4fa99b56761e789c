//! Things found by a number that the server itself gave out.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// Iterates in the order of insertion, never in hash order: two runs of the same input stay alike.
pub(crate) type NumberMap<K, V> = IndexMap<K, V, FxBuildHasher>;
