//! Where things are in the API.

use std::fmt::Write as _;

/// What holds the journal's files.
pub(crate) const PINS: &str = "/v1/pins";

/// A queue.
pub(crate) fn queue(name: &str) -> String {
    format!("/v1/queues/{}", segment(name))
}

/// Where tasks are put into a queue.
pub(crate) fn tasks(queue_name: &str) -> String {
    queue(queue_name) + "/tasks"
}

/// Where a task is put into a queue and its result waited for.
pub(crate) fn call(queue_name: &str) -> String {
    queue(queue_name) + "/call"
}

/// Where workers take tasks.
pub(crate) fn leases(queue_name: &str) -> String {
    queue(queue_name) + "/leases"
}

/// A task's result.
pub(crate) fn result(task: &str) -> String {
    format!("/v1/tasks/{}/result", segment(task))
}

/// A lease.
pub(crate) fn lease(id: &str) -> String {
    format!("/v1/leases/{}", segment(id))
}

/// Where a lease is settled: `complete`, `fail` or `release`.
pub(crate) fn settle(id: &str, how: &str) -> String {
    lease(id) + "/" + how
}

/// The text as one segment of a path.
fn segment(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(byte.into());
        } else {
            write!(path, "%{byte:02X}").expect("a string takes everything");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_it_contains() {
        assert_eq!(call("sms"), "/v1/queues/sms/call");
        assert_eq!(queue("a/b c%?#é"), "/v1/queues/a%2Fb%20c%25%3F%23%C3%A9");
        assert_eq!(settle("9f", "complete"), "/v1/leases/9f/complete");
    }
}
