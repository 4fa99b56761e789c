//! P7: memory follows what is under way, and has bounds.

use crate::node::Node;
use crate::plan::Plan;
use crate::violation::Violation;

/// Looks at what a node keeps in memory.
pub fn check(node: &Node, plan: &Plan) -> Result<(), Violation> {
    // The open entry and its neighbour come on top, and a body that is larger than all.
    let slack = 2 * (plan.entry_bytes_target as u64 + 256 * 1024) + 4 * plan.body_bytes_max;
    let cached = node.engine.counts().body_cache_bytes;
    if cached > plan.body_cache_bytes + slack {
        let what = format!("{cached} bytes of bodies in memory, with a budget of {}", plan.body_cache_bytes);
        return Err(Violation::new("P7", what));
    }
    for (line, end) in &node.ends {
        let unsent = end.unsent_bytes();
        if unsent > 2 * plan.delivery_window_bytes + 2 * (plan.body_bytes_max + 1000) {
            let what =
                format!("{unsent} bytes wait for {line}, with a window of {}", plan.delivery_window_bytes);
            return Err(Violation::new("P7", what));
        }
    }
    Ok(())
}
