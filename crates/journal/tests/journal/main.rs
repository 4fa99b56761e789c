//! The engines against their contract, and the file engine against bad disks.

mod conformance;
mod crash;
mod damage;
mod failing;
mod segments;
mod speed;
mod steps;
mod support;
mod survey;
