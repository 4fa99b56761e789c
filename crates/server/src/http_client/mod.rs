//! A small client of the HTTP API, for the commands of this program and its demonstration.
//!
//! [`Connection`] is one line to a broker, opened when it is needed and opened again after it broke. [`Call`] and
//! [`Fetch`] are what a caller wants over such a line, however often it breaks. [`paths`] knows where things are.

mod access;
mod answer;
mod backoff;
mod call;
mod connection;
mod duration;
mod error;
mod fetch;
pub(crate) mod paths;
mod pool;
mod problem;
mod request;
#[cfg(test)]
pub(crate) mod stub;

pub(crate) use access::{Access, Login, ServerUrl};
pub(crate) use answer::Answer;
pub(crate) use backoff::Backoff;
pub(crate) use call::Call;
pub(crate) use connection::Connection;
pub(crate) use duration::{format_duration, parse_duration};
pub(crate) use error::HttpError;
pub(crate) use fetch::{Ending, Fetch, Trouble};
pub(crate) use pool::Pool;
pub(crate) use problem::Problem;
pub(crate) use request::Request;

#[cfg(test)]
mod tests;
