//! `forebay bench`

mod connections;

use clap::Subcommand;

use super::{Failure, exit};
use crate::bench;

#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Park callers on many connections, let AMQP workers answer them, and show what each takes of memory
    Connections(connections::Connections),
    /// Hold connections for `connections`, which starts this
    #[command(hide = true)]
    ConnectionsClient,
}

impl Bench {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Connections(connections) => connections.run(),
            What::ConnectionsClient => {
                bench::connections::run_client_process().map_err(|error| Failure::new(exit::SOFTWARE, error))
            }
        }
    }
}
