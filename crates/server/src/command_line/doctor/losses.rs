//! What a repair cannot bring back, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use amqp_wire::{PropertiesView, Property, ShortString};
use broker::{Envelope, Home, LostMessage};
use engine::doctor::{Examination, Losses, Remains, Repaired};

use super::super::words::{count, entries, grouped, size};

/// The most messages of a queue that are named one by one.
const NAMED_MAX: usize = 20;

/// What a repair would cost.
pub(super) fn to_come(examination: &Examination) -> String {
    let mut text = "  a repair     would keep what is counted above; lost is\n".to_owned();
    list(&mut text, examination);
    text
}

/// What a repair has done and cost.
pub(super) fn of_repair(examination: &Examination, done: &Repaired) -> String {
    let mut text = format!("Repaired virtual host '{}'\n", examination.log.unescaped());
    let _ = writeln!(text, "  put aside    {}", count(done.aside.len() as u64, "copy"));
    for file in &done.aside {
        let _ = writeln!(text, "    {file}");
    }
    if done.unreadable_bytes > 0 {
        let _ = writeln!(
            text,
            "    the disk could not read {} of them; zeros stand there",
            size(done.unreadable_bytes)
        );
    }
    let _ = writeln!(text, "  goes on      behind entry {}", grouped(done.position.0));
    let _ = writeln!(text, "  lost");
    list(&mut text, examination);
    text
}

fn list(text: &mut String, examination: &Examination) {
    let losses = &examination.losses;
    let mut lines = Vec::new();
    entries_lost(&mut lines, examination);
    messages_lost(&mut lines, losses);
    conclusions(&mut lines, losses);
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    for line in lines {
        let _ = writeln!(text, "    {line}");
    }
}

fn entries_lost(lines: &mut Vec<String>, examination: &Examination) {
    let losses = &examination.losses;
    if let Some(begins_at) = losses.begins_at {
        lines.push(format!(
            "all that only the checkpoints knew: there is none, and the journal begins at entry {}",
            grouped(begins_at)
        ));
        lines.push("  messages that were settled long ago may be delivered again".to_owned());
    }
    for damage in &losses.rows {
        let rows = damage.rows.as_deref().unwrap_or("all that had changed since the run before it");
        lines.push(format!("of the checkpoint, in {}: {rows}", damage.file));
    }
    if !losses.rows.is_empty() {
        lines.push("  messages that were settled may be delivered again".to_owned());
    }
    for range in &losses.entries {
        lines.push(format!("{}: what was published, settled and declared in it", entries(range)));
        let here = examination.damages.iter().filter(|damage| damage.entries.as_ref() == Some(range));
        let remains = here.filter_map(|damage| damage.remains.as_ref()).map(shows);
        lines
            .extend(remains.map(|words| format!("  it still shows, though nothing vouches for it: {words}")));
    }
    if !losses.entries.is_empty() {
        lines.push("  messages that were settled there may be delivered again".to_owned());
    }
}

fn shows(remains: &Remains) -> String {
    let mut words = Vec::new();
    let queues = |counts: &BTreeMap<ShortString, u64>, verb: &str| {
        let each =
            counts.iter().map(|(queue, number)| format!("{} {verb} '{queue}'", count(*number, "message")));
        each.collect::<Vec<_>>()
    };
    words.extend(queues(&remains.published, "published to"));
    words.extend(queues(&remains.settled, "settled in"));
    let others =
        [(remains.tasks, "change of a task"), (remains.definitions, "declaration"), (remains.boots, "start")];
    for (number, noun) in others.into_iter().filter(|(number, _)| *number > 0) {
        words.push(if noun.contains(' ') { format!("{noun} ({number})") } else { count(number, noun) });
    }
    words.join(", ")
}

fn messages_lost(lines: &mut Vec<String>, losses: &Losses) {
    let mut by_queue: BTreeMap<&ShortString, Vec<(&LostMessage, Option<&Envelope>)>> = BTreeMap::new();
    for (message, glimpse) in losses.messages.iter().zip(&losses.glimpses) {
        by_queue.entry(&message.queue).or_default().push((message, glimpse.as_ref()));
    }
    for (queue, lost) in by_queue {
        let results = lost.iter().filter(|(message, _)| message.is_result).count() as u64;
        let messages = lost.len() as u64 - results;
        let each = [(messages, "message"), (results, "ended task")];
        for (number, noun) in each.into_iter().filter(|(number, _)| *number > 0) {
            let what = if noun == "message" { "body" } else { "result" };
            lines.push(format!("queue '{queue}': {} without a readable {what}", count(number, noun)));
        }
        lines.extend(
            lost.iter().take(NAMED_MAX).map(|(message, glimpse)| format!("  {}", name(message, *glimpse))),
        );
        if lost.len() > NAMED_MAX {
            lines.push(format!("  and {} more", grouped((lost.len() - NAMED_MAX) as u64)));
        }
    }
}

fn name(message: &LostMessage, glimpse: Option<&Envelope>) -> String {
    let mut words = match message.stored.place.home() {
        Home::Entry(lsn) => {
            format!("number {} of the queue, in entry {}", grouped(message.sequence), grouped(lsn.0))
        }
        Home::Volatile(_) => format!("number {} of the queue", grouped(message.sequence)),
    };
    if let Some(task) = &message.task {
        let _ = write!(words, ", task {task}");
    }
    let id = glimpse.and_then(|envelope| {
        let view = PropertiesView::parse(envelope.properties()).ok()?;
        Some(String::from_utf8_lossy(view.value(Property::MessageId)?).into_owned())
    });
    if let Some(id) = id {
        let _ = write!(words, ", it seems with message-id {id:?}");
    }
    words
}

fn conclusions(lines: &mut Vec<String>, losses: &Losses) {
    let found = &losses.conclusions;
    for (queue, number) in &found.missing_at_most {
        lines.push(format!(
            "queue '{queue}': at most {} that came in lost entries (fewer, if some were transient)",
            count(*number, "message")
        ));
    }
    for queue in &found.stand_ins {
        lines.push(format!("the declaration of a queue, which is now called '{queue}' and has no arguments"));
    }
    for queue in &found.queues_deleted {
        lines.push(format!(
            "the deletion of an older queue '{queue}', which must have happened: it is deleted"
        ));
    }
    if found.bindings_dropped > 0 {
        lines.push(format!(
            "{} of exchanges whose declarations are lost",
            count(found.bindings_dropped, "binding")
        ));
    }
}
