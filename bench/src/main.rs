//! The yardsticks, as processes of their own: so that it can be seen what they use.

use std::path::PathBuf;

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Yardsticks for brokers: the cheapest possible ones",
    disable_version_flag = true
)]
enum Arguments {
    /// A broker with one queue that does nothing but pass messages on, and sync what is persistent.
    NullBroker {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Where its file goes.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Sends back what comes.
    Echo {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse() {
        Arguments::NullBroker { listen, folder } => bench::null_broker::serve(&listen, &folder),
        Arguments::Echo { listen } => bench::echo::serve(&listen),
    }
}
