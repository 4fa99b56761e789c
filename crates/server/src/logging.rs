//! Where events of this process go.

use std::io::IsTerminal;

use crate::settings::{LogFormat, LogSettings};

/// Sends events to standard error from now on. A second call in the same process changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let subscriber = tracing_subscriber::fmt().with_max_level(settings.level).with_writer(std::io::stderr);
    // An error means that something else in this process already takes the events, which is fine.
    let _already_started = match settings.format {
        LogFormat::Human => {
            subscriber.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
        }
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
