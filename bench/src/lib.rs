//! A load generator that speaks raw AMQP, what it measures, and the yardsticks beside it.
//!
//! The generator shares the machine with the broker, so it is built to be cheap: whole windows in one write, reads of hundreds of
//! frames, no allocation for a message. Its own cost is part of the figures; a broker cannot be shown to be faster than the generator
//! lets it be.

mod confirmed;
mod crowd;
mod disk;
pub mod echo;
mod figures;
mod gets;
mod idle;
mod latency;
mod load;
pub mod null_broker;
mod subject;
mod workload;

pub use self::confirmed::Confirmed;
pub use self::crowd::{Crowd, crowd};
pub use self::disk::DiskSpeed;
pub use self::figures::Figures;
pub use self::gets::{echo_round_trips, gets};
pub use self::idle::{IdleFigures, idle};
pub use self::latency::Latencies;
pub use self::load::measure;
pub use self::subject::Subject;
pub use self::workload::Workload;

/// How long a load runs, and how long of that counts.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before anything counts.
    pub warm_up: std::time::Duration,
    /// What counts.
    pub measured: std::time::Duration,
}
