//! What the operating system grants this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one, because every connection takes one.
///
/// Returns the limit in force then; `None` when there is none. A refusal is logged and no error: the server
/// runs, with fewer connections.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(
                current = limit.current,
                maximum = limit.maximum,
                %error,
                "cannot raise the limit of open descriptors; each connection takes one"
            );
            limit.current
        }
    }
}

/// How many descriptors this process may have open; `None` without a limit.
#[must_use]
pub(crate) fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_meets_the_hard_one() {
        let raised = raise_descriptor_limit();
        assert_eq!(raised, getrlimit(Resource::Nofile).maximum);
        assert_eq!(raised, descriptors_max());
    }
}
