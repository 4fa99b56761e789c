//! The engine over a journal that moves only when told to, and over files on a disk with faults.

mod bench;

mod bodies;
mod checkpoints;
mod crashes;
mod doctor;
mod fixtures;
mod power_cuts;
mod releasing;
mod served;
