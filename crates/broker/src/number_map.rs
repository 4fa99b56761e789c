//! Things found by a number that the server itself gave out.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// A map keyed by numbers of connections, queues and consumers, which no client chooses.
///
/// Iterates in the order of insertion (as removals have changed it), never in hash order, so that two runs
/// of the same input stay alike. The hash is fast and not keyed.
pub type NumberMap<K, V> = IndexMap<K, V, FxBuildHasher>;
