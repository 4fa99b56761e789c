//! A producer for Forebay: publishes messages, sends tasks, and calls workers, over AMQP 0-9-1.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use forebay_client::{Client, TaskType};
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
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("amqp://guest:guest@localhost/").await?;
//! client.declare_task_queue("sms").await?;
//!
//! // Durable when it returns; the worker gets to it in its own time.
//! let sms = SendSms { to: "+123".into(), text: "hi".into() };
//! let id = client.send(sms).delay(Duration::from_secs(60)).idempotency_key("order-991").await?;
//!
//! // The same, and waits for the worker's answer.
//! let sms = SendSms { to: "+123".into(), text: "ho".into() };
//! let receipt: Receipt = client.call(sms).timeout(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] tells what happens when the connection breaks. Worker and broker may be different programs and
//! languages: a task is a message whose body is JSON and whose property `type` is the task's name.
//!
//! The trait [`TaskType`] is written by hand, three lines; there is no derive macro yet. There is no TLS yet.

mod budget;
mod call;
mod calls;
mod client;
mod declares;
mod error;
#[doc(hidden)]
pub mod link;
mod message;
mod producer;
mod send;
mod task;

pub use call::{Call, CallRaw};
pub use calls::Reply;
pub use client::{Client, ClientBuilder};
pub use error::{CallError, ConnectError, Failure, PublishError, SendError, UrlError};
pub use message::{HeaderValue, Message};
pub use send::Send;
pub use task::{Task, TaskId, TaskIdError, TaskType};
