//! `forebay serve`

use std::path::PathBuf;

use clap::builder::{ArgAction, ValueHint};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{Failure, exit};
use crate::logging;
use crate::server::{Ending, Server};
use crate::settings::{DEFINITIONS, Definition, Kind, Sources};
use crate::signals::StopSignals;

/// The flags of `forebay serve`: one for each setting, and the file.
#[derive(Debug)]
pub(super) struct Serve {
    sources: Sources,
}

const CONFIG: &str = "config";

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let settings = self.sources.load().map_err(|error| Failure::new(exit::CONFIGURATION, error))?;
        logging::start(&settings.log);
        let runtime = runtime(settings.threads).map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        let ending = runtime.block_on(async {
            let mut signals = StopSignals::listen().map_err(|error| Failure::new(exit::SOFTWARE, error))?;
            let server =
                Server::start(settings).await.map_err(|error| Failure::new(exit::UNAVAILABLE, error))?;
            Ok::<_, Failure>(serve_until_signal(server, &mut signals).await)
        })?;
        // What still runs is a client that did not answer the goodbye.
        runtime.shutdown_background();
        match ending {
            Ending::Stopped => Ok(()),
            Ending::Failed(reason) => Err(Failure::new(exit::SOFTWARE, anyhow::anyhow!("{reason}"))),
        }
    }
}

/// The threads that serve sockets. Half the cores: the journal and the kernel's own work for sockets and disks need
/// the others, and every core more is a core to wake up for what one does alone.
fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if threads == 0 { (cores / 2).max(1) } else { threads };
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

async fn serve_until_signal(server: Server, signals: &mut StopSignals) -> Ending {
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "asked to stop; saying goodbye to the clients");
            server.stop();
        }
        () = server.ended() => {}
    }
    tokio::select! {
        ending = server.finish() => ending,
        signal = signals.next() => Ending::Failed(format!("asked to stop a second time ({signal}), so stopping at once")),
    }
}

impl Args for Serve {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(clap::value_parser!(PathBuf))
            .env("FOREBAY_CONFIG")
            .help("The configuration file (TOML); without one there are flags, variables and defaults");
        DEFINITIONS.iter().map(argument).fold(command.arg(config), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(definition: &'static Definition) -> Arg {
    let value_name = match definition.kind {
        Kind::Integer { .. } => "NUMBER",
        Kind::Choice { .. } => "WORD",
        Kind::Text { .. } => "TEXT",
        Kind::List { .. } => "ITEM",
    };
    let default = match definition.default {
        [] => String::new(),
        values => format!(" [default: {}]", values.join(", ")),
    };
    let help = format!(
        "{} ({}) [env: {}]{default}",
        definition.about,
        definition.values().replace('`', ""),
        definition.variable()
    );
    Arg::new(definition.key)
        .long(definition.flag)
        .value_name(value_name)
        .action(if definition.is_list() { ArgAction::Append } else { ArgAction::Set })
        .help(help)
}

impl FromArgMatches for Serve {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = DEFINITIONS
            .iter()
            .filter_map(|definition| {
                let values = matches.get_many::<String>(definition.key)?;
                Some((definition.key, values.cloned().collect()))
            })
            .collect();
        let file = matches.get_one::<PathBuf>(CONFIG).cloned();
        Ok(Self { sources: Sources { file, environment: Some(|name| std::env::var_os(name)), flags } })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
