//! Things found by their number.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// A map keyed by small numbers that the core itself gives out.
///
/// Iterates in the order of insertion (as removals have changed it), never in hash order, so that two runs
/// of the same input stay alike. The hash is fast and not keyed: no client chooses these numbers.
pub(crate) type NumberMap<K, V> = IndexMap<K, V, FxBuildHasher>;
