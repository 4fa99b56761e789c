//! Rows in words, for those who have to hear that some are lost.

use super::restore::split_u64;
use super::{BINDING, DEFINITIONS, EXCHANGE, LEVEL, PAGES, QUEUE, QUEUES, TASKS};
use crate::TableKind;
use crate::message::MESSAGES_PER_PAGE;

/// What rows from this key to that one are about.
#[must_use]
pub fn describe_rows(first: &[u8], last: &[u8]) -> String {
    match (describe(first), describe(last)) {
        (first, last) if first == last => first,
        (first, last) => format!("{first} to {last}"),
    }
}

fn describe(key: &[u8]) -> String {
    let number = |from: usize| key.get(from..).and_then(split_u64).map_or(0, |(number, _)| number);
    match (key.first().copied(), key.get(1).copied()) {
        (Some(DEFINITIONS), Some(EXCHANGE)) => {
            format!("the declaration of exchange '{}'", String::from_utf8_lossy(&key[2..]))
        }
        (Some(DEFINITIONS), Some(QUEUE)) => format!("the declaration of queue number {}", number(2)),
        (Some(DEFINITIONS), Some(BINDING)) => "bindings".to_owned(),
        (Some(PAGES), _) if key.get(9) == Some(&LEVEL) => {
            let first = number(10);
            let last = first.saturating_add(MESSAGES_PER_PAGE as u64 - 1);
            format!("the places of messages {first} to {last} of queue number {}", number(1))
        }
        (Some(QUEUES), _) => format!("the counters of queue number {}", number(1)),
        (Some(TASKS), _) => "tasks".to_owned(),
        _ => match TableKind::of(key) {
            Some(table) => format!("rows of the table {table:?}"),
            None => "the count of boots".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_by_what_they_are_about() {
        let page = [&b"P"[..], &7u64.to_be_bytes(), &[0], &512u64.to_be_bytes()].concat();
        let words = "the places of messages 512 to 1023 of queue number 7";
        assert_eq!(describe_rows(&page, &page), words);
        let queue = [&b"M\x01"[..], &9u64.to_be_bytes()].concat();
        let words = "the declaration of exchange 'one' to the declaration of queue number 9";
        assert_eq!(describe_rows(b"M\0one", &queue), words);
        for cut in 0..page.len() {
            let _ = describe_rows(&page[..cut], b"");
        }
    }
}
