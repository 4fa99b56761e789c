//! `forebay pins`

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::anyhow;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::api::{self, Api};
use super::words::{count, grouped, size};
use super::{Failure, exit};
use crate::http_client::{Connection, Request, paths};

/// Show what holds space on the broker's disk.
///
/// Old files of the journal are kept only for the messages and results that still live in them. For each such file: what it takes,
/// how much of that lives, and the oldest message in it with whoever has it. What lives is told by the newest checkpoint, who
/// has it by the broker as it is now.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Exit codes:
  0   the list is on standard output
  65  the broker refused the request
  69  the broker did not answer")]
pub(super) struct Pins {
    #[command(flatten)]
    api: Api,
    /// Print the broker's JSON document as it is
    #[arg(long)]
    json: bool,
}

/// All rows of a checkpoint are looked at.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Document {
    as_of: String,
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    file: String,
    bytes: u64,
    live_bytes: u64,
    live: u64,
    entries_in_use: u64,
    oldest: Option<Oldest>,
}

#[derive(Deserialize)]
struct Oldest {
    state: String,
    queue: Option<String>,
    sequence: Option<u64>,
    task: Option<String>,
    user: Option<String>,
    connection: Option<u64>,
    channel: Option<u16>,
    consumer_tag: Option<String>,
    since: Option<String>,
    worker: Option<String>,
}

impl Pins {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut connection = Connection::new(self.api.access());
        let request = Request::new(Method::GET, paths::PINS);
        let answer = api::runtime()?.block_on(connection.ask(&request, PATIENCE));
        let answer = answer.map_err(|error| Failure::new(exit::UNAVAILABLE, error))?;
        if answer.status != StatusCode::OK {
            let code = if answer.status.is_server_error() { exit::UNAVAILABLE } else { exit::DATA };
            return Err(Failure::new(code, anyhow!("{}", answer.problem())));
        }
        if self.json {
            return api::print(&[&answer.body[..], b"\n"].concat());
        }
        let document = answer.json().map_err(|error| Failure::new(exit::UNAVAILABLE, error))?;
        api::print(report(&document).as_bytes())
    }
}

fn report(Document { as_of, files }: &Document) -> String {
    let (bytes, live_bytes) =
        (files.iter().map(|file| file.bytes).sum(), files.iter().map(|file| file.live_bytes).sum());
    let mut text = match files.len() {
        0 => "No old file of the journal is kept for what lives in it".to_owned(),
        number => format!(
            "{} of the journal, {}, kept for {} that live",
            count(number as u64, "old file"),
            size(bytes),
            size(live_bytes)
        ),
    };
    let _ = writeln!(text, "; as of the checkpoint of {as_of}");
    for file in files {
        let _ = writeln!(
            text,
            "{}  {}: {} in {}{}",
            file.file,
            size(file.bytes),
            size(file.live_bytes),
            count(file.live, "message"),
            match file.entries_in_use {
                0 => String::new(),
                number => format!(
                    ", and {} for transient messages or deliveries on their way",
                    count(number, "entry")
                ),
            }
        );
        if let Some(oldest) = &file.oldest {
            let _ = writeln!(text, "    the oldest: {}", oldest.words());
        }
    }
    text
}

impl Oldest {
    fn words(&self) -> String {
        let what = match (&self.task, &self.queue, self.sequence) {
            (Some(task), ..) => return format!("the result of task {task}"),
            (None, Some(queue), Some(sequence)) => format!("queue '{queue}', message {}", grouped(sequence)),
            _ => "a message of a queue that is gone".to_owned(),
        };
        format!("{what}, {}", self.standing())
    }

    fn standing(&self) -> String {
        let user = self.user.as_deref().unwrap_or_default();
        match self.state.as_str() {
            "waiting" => "waits, nobody has it".to_owned(),
            "settled" => "was settled since".to_owned(),
            "leased" => format!("leased by worker '{}'", self.worker.as_deref().unwrap_or_default()),
            "reply_awaited" => "a task whose reply is to come".to_owned(),
            "delivered" => {
                let by = match &self.consumer_tag {
                    Some(tag) => format!("consumer '{tag}'"),
                    None => "a session".to_owned(),
                };
                format!(
                    "with {by} of user '{user}' (connection {}, channel {}) and not acknowledged since {}",
                    self.connection.unwrap_or_default(),
                    self.channel.unwrap_or_default(),
                    self.since.as_deref().unwrap_or_default()
                )
            }
            other => other.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_of(files: &str) -> String {
        report(
            &serde_json::from_str(&format!(r#"{{"as_of":"2026-01-02T03:04:05Z","files":[{files}]}}"#))
                .unwrap(),
        )
    }

    #[test]
    fn each_file_is_told_with_its_oldest_message() {
        let held = r#"{"file":"01.seg","bytes":67108864,"live_bytes":1024,"live":1,"entries_in_use":0,"oldest":{
            "entry":7,"state":"delivered","queue":"mail","sequence":12345,"user":"guest","connection":3,"channel":1,
            "consumer_tag":"ct","since":"2026-01-01T00:00:00Z"}}"#;
        let result = r#"{"file":"02.compacted","bytes":16384,"live_bytes":4096,"live":2,"entries_in_use":1,
            "oldest":{"entry":9,"state":"result","task":"T"}}"#;
        let text = report_of(&format!("{held},{result}"));
        let expected = "\
2 old files of the journal, 64.0 MiB, kept for 5.0 KiB that live; as of the checkpoint of 2026-01-02T03:04:05Z
01.seg  64.0 MiB: 1.0 KiB in 1 message
    the oldest: queue 'mail', message 12,345, with consumer 'ct' of user 'guest' (connection 3, channel 1) and not acknowledged since 2026-01-01T00:00:00Z
02.compacted  16.0 KiB: 4.0 KiB in 2 messages, and 1 entry for transient messages or deliveries on their way
    the oldest: the result of task T
";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_is_told_as_such() {
        assert!(report_of("").starts_with("No old file"));
    }
}
