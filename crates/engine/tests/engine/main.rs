//! The engine over a journal that moves only when told to.

mod bench;

mod bodies;
mod checkpoints;
mod crashes;
mod releasing;
