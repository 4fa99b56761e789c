//! What an examination has found, for people.

use std::fmt::Write;

use broker::{QueueCensus, TaskCensus};
use engine::doctor::{CheckpointFinding, Damage, DataFiles, Examination, Meaning, QueueCount, Start};
use http_api::rfc3339;
use journal::{ClaimFinding, CompactedFinding, SegmentFinding, Survey};

use super::super::words::{count, entries, grouped, size};

/// The whole report of a virtual host.
pub(super) fn of(files: &DataFiles, examination: &Examination) -> String {
    let mut text = String::new();
    let log = &examination.log;
    line(&mut text, format_args!("Virtual host '{}' ({}/{log})", log.unescaped(), files.journal_folder));
    match &examination.survey {
        Some(survey) => journal(&mut text, files, survey),
        None => line(&mut text, format_args!("  journal      missing")),
    }
    checkpoints(&mut text, &examination.checkpoints);
    start(&mut text, files, &examination.start);
    census(&mut text, examination);
    places(&mut text, "damage", &examination.damages);
    places(&mut text, "scars", &examination.scars);
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{words}");
}

fn journal(text: &mut String, files: &DataFiles, survey: &Survey) {
    match &survey.claim {
        ClaimFinding::Whole { epoch, durable, .. } => line(
            text,
            format_args!(
                "  claim        epoch {epoch}; durable up to entry {} when it was written",
                grouped(durable.0)
            ),
        ),
        ClaimFinding::Missing => line(text, format_args!("  claim        there is none")),
        ClaimFinding::Damaged { .. } => line(text, format_args!("  claim        damaged")),
    }
    if survey.is_half_destroyed {
        line(text, format_args!("  removal      was interrupted; a start goes on with it"));
    }
    let bytes = survey.segments.iter().map(|segment| segment.bytes).sum();
    let number = survey.segments.len() as u64;
    line(text, format_args!("  segments     {}, {}", count(number, "file"), size(bytes)));
    survey.segments.iter().for_each(|found| segment(text, files, found));
    if !survey.compacted.is_empty() {
        let bytes = survey.compacted.iter().map(|found| found.bytes).sum();
        let number = survey.compacted.len() as u64;
        line(text, format_args!("  compacted    {}, {}", count(number, "file"), size(bytes)));
        survey.compacted.iter().for_each(|found| compacted(text, files, found));
    }
    if !survey.spares.is_empty() {
        let bytes = survey.spares.iter().map(|spare| spare.bytes).sum();
        line(text, format_args!("  spare files  {}, {}", survey.spares.len(), size(bytes)));
    }
}

fn segment(text: &mut String, files: &DataFiles, found: &SegmentFinding) {
    let (file, bytes) = (format!("{}/{}", files.journal_folder, found.file), size(found.bytes));
    let kind = if found.sealed { "sealed" } else { "active" };
    let holds = match found.entries {
        0 => "no entries".to_owned(),
        number => format!(
            "{}, {}; {}",
            entries(&(found.first.0..=found.last.0)),
            size(found.payload_bytes),
            count(number, "whole one")
        ),
    };
    line(text, format_args!("    {file}  {bytes}, {kind}: {holds}"));
}

fn compacted(text: &mut String, files: &DataFiles, found: &CompactedFinding) {
    let (file, bytes) = (format!("{}/{}", files.journal_folder, found.file), size(found.bytes));
    let holds = match found.entries {
        0 => "nothing".to_owned(),
        number => format!(
            "{} of {} between {} and {}",
            size(found.payload_bytes),
            count(number, "entry"),
            grouped(found.first.0),
            grouped(found.last.0)
        ),
    };
    line(text, format_args!("    {file}  {bytes}: {holds}"));
}

fn checkpoints(text: &mut String, checkpoints: &[CheckpointFinding]) {
    if checkpoints.is_empty() {
        line(text, format_args!("  checkpoints  none"));
        return;
    }
    line(text, format_args!("  checkpoints  {}", checkpoints.len()));
    let newest = checkpoints.iter().rposition(|found| found.whole.is_some());
    for (at, found) in checkpoints.iter().enumerate() {
        let state = match &found.whole {
            None => "damaged".to_owned(),
            Some((time, run_bytes, clean)) => format!(
                "taken {}, {}{}{}",
                rfc3339(*time),
                size(*run_bytes),
                if *clean { ", at a clean end" } else { "" },
                if newest == Some(at) { "; a start begins here" } else { "" }
            ),
        };
        line(text, format_args!("    {}  at entry {}: {state}", found.manifest, grouped(found.position)));
    }
}

fn start(text: &mut String, files: &DataFiles, start: &Result<Start, String>) {
    let start = match start {
        Ok(start) => start,
        Err(words) => return line(text, format_args!("  a start      would be refused: {words}")),
    };
    let from = match start.checkpoint {
        0 => "begins with the first entry".to_owned(),
        position => format!("begins at the checkpoint at entry {}", grouped(position)),
    };
    let (replayed, bytes) = (count(start.entries, "entry"), size(start.bytes));
    line(text, format_args!("  a start      {from} and replays {replayed}, {bytes}"));
    for queue in &start.halted {
        let why = "messages of it cannot be read";
        line(text, format_args!("               halts queue {queue}, which hands nothing out: {why}"));
    }
    if let Some(torn) = &start.torn {
        let (file, lsn) = (format!("{}/{}", files.journal_folder, torn.file), grouped(torn.lsn.0));
        line(
            text,
            format_args!(
                "               cuts off a torn tail: {file} from byte {} on, entry {lsn} ({})",
                torn.offset, torn.detail
            ),
        );
        line(
            text,
            format_args!("               as a crash leaves it: nothing tells that any of it was confirmed"),
        );
    }
}

fn census(text: &mut String, examination: &Examination) {
    let census = &examination.census;
    line(
        text,
        format_args!(
            "  definitions  {}, {}, {}",
            count(census.exchanges, "exchange"),
            count(census.bindings, "binding"),
            count(census.queues.len() as u64, "queue")
        ),
    );
    if !census.queues.is_empty() {
        let after = if examination.is_sound() {
            ""
        } else {
            ", as they would be after a repair, without what is lost"
        };
        line(text, format_args!("  queues       persistent messages{after}"));
    }
    census.queues.iter().for_each(|found| queue(text, found));
}

fn queue(text: &mut String, found: &QueueCensus) {
    let mut words = format!("{}: {} ready, {}", found.name, grouped(found.ready), size(found.ready_bytes));
    if found.kept_back > 0 {
        let _ = write!(words, "; {} kept back, {}", grouped(found.kept_back), size(found.kept_back_bytes));
    }
    if let Some(tasks) = &found.tasks {
        let counts = TaskCensus::STATES.iter().zip(tasks.0).filter(|(_, number)| *number > 0);
        let counts: Vec<String> =
            counts.map(|(state, number)| format!("{} {}", grouped(number), state.name())).collect();
        let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        let _ = write!(words, "; tasks: {counts}");
    }
    line(text, format_args!("    {words}"));
}

fn places(text: &mut String, title: &str, damages: &[Damage]) {
    if damages.is_empty() {
        return;
    }
    line(text, format_args!("  {title:<12} {}", count(damages.len() as u64, "place")));
    for damage in damages {
        let entries =
            damage.entries.as_ref().map(|range| format!(", {}", entries(range))).unwrap_or_default();
        line(text, format_args!("    {} at byte {}{entries}: {}", damage.file, damage.offset, damage.detail));
        meaning(&damage.meaning).iter().for_each(|words| line(text, format_args!("      {words}")));
    }
}

fn meaning(meaning: &Meaning) -> Vec<String> {
    let refused = "a start would be refused: this was durable".to_owned();
    match meaning {
        Meaning::StartRefused => vec![refused],
        Meaning::Bodies { messages, results, start_refused } => {
            let each = messages.iter().map(|QueueCount { queue, messages }| {
                format!("{} of queue '{queue}' with the body here", count(*messages, "message"))
            });
            let results = (*results > 0).then(|| format!("{} of tasks here", count(*results, "result")));
            each.chain(results).chain(start_refused.then_some(refused)).collect()
        }
        Meaning::CheckpointPassedOver => {
            vec!["a start would fall back to the checkpoint before it and replay more".to_owned()]
        }
        Meaning::FallbackLost => {
            vec!["a start does not need it, unless the newest checkpoint is damaged as well".to_owned()]
        }
        Meaning::CheckpointsLost => {
            vec!["no checkpoint is whole: a start needs the journal from its first entry on".to_owned()]
        }
        Meaning::Rows { start_refused, about } => {
            let about = about.as_deref().unwrap_or("all that had changed since the run before it");
            let start = match start_refused {
                true => "a start would be refused: no checkpoint is whole",
                false => "a start would halt the queue and serve all others",
            };
            vec![format!("lost here: {about}"), start.to_owned()]
        }
        Meaning::Nothing => vec!["nobody needs what lay here".to_owned()],
    }
}
