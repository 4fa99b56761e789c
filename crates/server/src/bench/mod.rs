//! Questions about a machine that only a measurement answers.

pub(crate) mod connections;
