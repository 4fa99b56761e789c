//! What requesters ask for, one file for each request.

pub mod cancel;
pub mod complete;
pub mod declare_queue;
pub mod delete_queue;
pub mod describe_queue;
pub mod enqueue;
pub mod extend;
pub mod fail;
pub mod lease;
pub mod publish;
pub mod release;
pub mod watch;

use crate::requester::Step;

/// What requesters do, each with its weight.
pub const STEPS: &[(u32, Step)] = &[
    (8, enqueue::some),
    (6, enqueue::with_key),
    (4, enqueue::again),
    (1, enqueue::other_with_old_key),
    (2, publish::follow_up),
    (5, watch::some),
    (1, watch::stop),
    (2, cancel::some),
    (9, lease::some),
    (1, lease::stop),
    (2, extend::some),
    (8, complete::some),
    (2, complete::with_too_much),
    (3, fail::some),
    (2, release::some),
    (1, declare_queue::brief),
    (1, delete_queue::brief),
    (1, describe_queue::some),
];
