//! The chapters, one after the other.

pub(super) mod direct;
pub(super) mod queued;
pub(super) mod waiting;
