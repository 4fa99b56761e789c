//! The engine over a journal that moves only when told to, and over files on a disk with faults.

mod bench;

mod bodies;
mod checkpoint_images;
mod checkpoint_steps;
mod checkpoints;
#[path = "../../../../fuzz/choices.rs"]
mod choices;
mod cold;
mod compaction;
mod crashes;
mod doctor;
mod fixtures;
mod full_disk;
mod halted;
mod power_cuts;
mod random_checkpoint_images;
mod releasing;
mod resting;
mod served;
mod tables;
