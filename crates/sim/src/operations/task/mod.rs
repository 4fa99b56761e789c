//! What clients of AMQP do with tasks, one file for each operation.

pub mod acknowledge;
pub mod answer;
pub mod collect;
pub mod consume;
pub mod give_up;
pub mod publish;
pub mod transact;
pub mod vanish;
