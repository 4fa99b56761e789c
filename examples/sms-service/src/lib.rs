//! A web service that sends SMS by a slow provider, without making anybody wait for it.
//!
//! ```text
//!   POST /sms ──> service ── task ──> queue `sms` ──> worker ──> provider
//!     202 <─────────┘                                   │
//!   POST /sms/wait ── call ─────────────────────────────┤
//!     200 and the receipt <─────────── result ──────────┘
//! ```
//!
//! [`sms`] is what service and worker share; [`service`] and [`worker`] may as well be two programs on two machines.

pub mod provider;
pub mod service;
pub mod sms;
pub mod worker;
