//! The engines against their contract, and the file engine against bad disks.

#[path = "../../../../fuzz/choices.rs"]
mod choices;
mod compaction;
mod conformance;
mod crash;
mod damage;
mod failing;
mod images;
mod random_images;
mod room;
mod segments;
mod speed;
mod steps;
mod support;
mod survey;
