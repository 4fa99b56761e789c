//! A worker for Forebay: takes tasks off queues and runs their handlers, over AMQP 0-9-1.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use forebay_worker::{Cx, Fail, Message, TaskType, Worker, signals};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct SendSms { to: String, text: String }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Receipt { id: String }
//!
//! impl TaskType for SendSms {
//!     const NAME: &'static str = "sms.send";
//!     const QUEUE: &'static str = "sms";
//!     type Output = Receipt;
//! }
//!
//! # struct Gateway;
//! # impl Gateway { async fn send(&self, _: &SendSms) -> Result<String, std::io::Error> { Ok(String::new()) } }
//! async fn send_sms(job: SendSms, cx: Cx, gateway: Arc<Gateway>) -> Result<Receipt, Fail> {
//!     if job.text.is_empty() {
//!         return Err(Fail::fatal("nothing to say").status(422));
//!     }
//!     // Any error through `?` is tried again, with growing waits.
//!     let id = gateway.send(&job).await?;
//!     // Goes out together with the result, or not at all.
//!     cx.publish("amq.topic", "sms.sent", Message::new(id.clone()).optional())?;
//!     Ok(Receipt { id })
//! }
//!
//! # async fn example(gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
//! Worker::connect("amqp://guest:guest@localhost/")?
//!     .handle_with(Arc::new(gateway), send_sms)
//!     .concurrency(50)
//!     .shutdown(signals(), Duration::from_secs(30))
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Worker`] tells what is promised. Queues whose messages are no tasks can be consumed as well, as by any AMQP
//! client: then nothing counts attempts, and an answer is a message to the `reply-to` of the request.
//!
//! Left for later: middleware, batches, progress, a derive macro for [`TaskType`].

mod attempt;
mod conclusion;
mod consumer;
mod cx;
mod delivery;
mod fail;
mod handlers;
mod inbox;
mod job;
mod output;
mod signals;
mod subscription;
mod transactions;
mod worker;

pub use cx::{Cx, OutboxError};
pub use fail::Fail;
pub use forebay_client::{ConnectError, Message, SendError, Task, TaskId, TaskType, UrlError};
pub use job::Job;
pub use output::Output;
pub use signals::signals;
pub use worker::{Worker, WorkerError};
