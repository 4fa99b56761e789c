//! P8: whoever behaves is served, whatever others do.

use crate::agenda::{Micros, SECOND};
use crate::client::Client;
use crate::violation::Violation;

/// Longer than the slowest sync, times all that may stand in front.
const PATIENCE: Micros = 30 * SECOND;

/// Looks whether a client waits for longer than anything can take. For clients whose broker serves and who read.
pub fn check(client: &Client, now: Micros) -> Result<(), Violation> {
    match client.waiting_since {
        Some(since) if since + PATIENCE < now => {
            let role = client.role;
            let what = format!("client {} ({role:?}) waits since {since} us: {client:?}", client.number);
            Err(Violation::new("P8", what))
        }
        _ => Ok(()),
    }
}
