//! The HTTP side of the work layer.
//!
//! A shell around the core, as `amqp` is for AMQP: requests become the core's commands, its effects become answers, and
//! waiting costs an entry in a map. Nothing here knows sockets, files, the clock or who may log in: the owner hands in
//! accepted streams ([`serve`]) and answers questions ([`Backend`]).
//!
//! ```text
//!   stream ── hyper ──> service ── router ──> endpoints ── commands ──> Host (engine behind a lock)
//!                                                 ^                        │
//!                                                 └── switchboard <─ effects
//! ```
//!
//! One connection of HTTP is one connection of the core for each virtual host and user that it uses (a *line*), made at
//! its first request and ended with its socket. `endpoints/` has a file for each thing that can be asked.

mod activity;
mod authentication;
mod backend;
mod body;
mod body_budget;
mod client;
mod connection;
mod document;
mod duration;
mod endpoints;
mod entity_tag;
mod event_stream;
mod header_table;
mod http1_answer;
mod idempotency;
mod json;
mod limits;
mod line;
mod options;
mod origin;
mod prefer;
mod problem;
mod refusal;
mod request;
mod request_body;
mod responding;
mod router;
mod service;
mod status_document;
mod submission;
mod switchboard;
mod task_document;
mod ticket;
mod time_text;
mod upload;
mod wire;
mod worker_answer;

pub use backend::{Backend, Condition, Host, LoginRefused, Page, Right, Submitted, Target};
pub use connection::serve;
pub use limits::Limits;
pub use service::Service;
pub use time_text::rfc3339;
