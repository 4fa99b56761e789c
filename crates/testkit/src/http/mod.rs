//! A scripted HTTP/1.1 peer.
//!
//! ```no_run
//! use testkit::http::{HttpPeer, Request};
//!
//! let mut peer = HttpPeer::open("127.0.0.1:15672")?;
//! let answer = peer.call(&Request::put("/v1/queues/sms").json("{}"))?;
//! assert_eq!(answer.status, 201);
//! # Ok::<(), testkit::http::HttpError>(())
//! ```

mod error;
mod peer;
mod request;
mod response;

pub use error::HttpError;
pub use peer::HttpPeer;
pub use request::Request;
pub use response::Response;
