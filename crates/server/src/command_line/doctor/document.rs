//! What an examination has found, for programs.

use broker::{QueueCensus, TaskCensus};
use engine::doctor::{CheckpointFinding, Damage, DataFiles, Examination, Meaning};
use journal::{ClaimFinding, CompactedFinding, SegmentFinding};
use serde_json::{Map, Value, json};

/// One document for all virtual hosts.
pub(super) fn of(files: &DataFiles, examinations: &[Examination]) -> Value {
    let sound = examinations.iter().all(Examination::is_sound);
    let hosts: Vec<Value> = examinations.iter().map(|examination| host(files, examination)).collect();
    json!({ "sound": sound, "virtual_hosts": hosts })
}

fn host(files: &DataFiles, examination: &Examination) -> Value {
    let (start, refusal) = match &examination.start {
        Ok(start) => {
            let torn = start.torn.as_ref().map(|torn| {
                let file = format!("{}/{}", files.journal_folder, torn.file);
                json!({ "file": file, "offset": torn.offset, "entry": torn.lsn.0, "detail": torn.detail })
            });
            let halted: Vec<String> = start.halted.iter().map(ToString::to_string).collect();
            let replay = json!({ "entries": start.entries, "bytes": start.bytes });
            (
                json!({ "checkpoint": start.checkpoint, "replay": replay, "torn_tail": torn, "halted_queues": halted }),
                None,
            )
        }
        Err(words) => (Value::Null, Some(words)),
    };
    let segments = examination.survey.iter().flat_map(|survey| &survey.segments);
    let compacted_files = examination.survey.iter().flat_map(|survey| &survey.compacted);
    let losses = &examination.losses;
    json!({
        "name": examination.log.unescaped(),
        "sound": examination.is_sound(),
        "claim": examination.survey.as_ref().map(|survey| claim(&survey.claim)),
        "segments": segments.map(|found| segment(files, found)).collect::<Vec<_>>(),
        "compacted_files": compacted_files.map(|found| compacted(files, found)).collect::<Vec<_>>(),
        "spare_bytes": examination.survey.as_ref().map(|survey| survey.spares.iter().map(|spare| spare.bytes).sum::<u64>()),
        "checkpoints": examination.checkpoints.iter().map(checkpoint).collect::<Vec<_>>(),
        "start": start,
        "start_refused": refusal,
        "exchanges": examination.census.exchanges,
        "bindings": examination.census.bindings,
        "queues": examination.census.queues.iter().map(queue).collect::<Vec<_>>(),
        "damages": examination.damages.iter().map(damage).collect::<Vec<_>>(),
        "scars": examination.scars.iter().map(damage).collect::<Vec<_>>(),
        "rows_lost": losses.rows.iter().map(|damage| &damage.rows).collect::<Vec<_>>(),
        "entries_lost": losses.entries.iter().map(|range| json!([range.start(), range.end()])).collect::<Vec<_>>(),
        "messages_lost": losses.messages.iter().filter(|message| !message.is_result).count(),
        "results_lost": losses.messages.iter().filter(|message| message.is_result).count(),
    })
}

fn claim(claim: &ClaimFinding) -> Value {
    match claim {
        ClaimFinding::Whole { epoch, durable, .. } => json!({ "epoch": epoch.0, "durable": durable.0 }),
        ClaimFinding::Missing => json!({ "missing": true }),
        ClaimFinding::Damaged { detail } => json!({ "damaged": detail }),
    }
}

fn segment(files: &DataFiles, found: &SegmentFinding) -> Value {
    json!({
        "file": format!("{}/{}", files.journal_folder, found.file),
        "bytes": found.bytes,
        "first": found.first.0,
        "last": found.last.0,
        "entries": found.entries,
        "payload_bytes": found.payload_bytes,
        "sealed": found.sealed,
    })
}

fn compacted(files: &DataFiles, found: &CompactedFinding) -> Value {
    json!({
        "file": format!("{}/{}", files.journal_folder, found.file),
        "bytes": found.bytes,
        "first": found.first.0,
        "last": found.last.0,
        "entries": found.entries,
        "kept_bytes": found.payload_bytes,
    })
}

fn checkpoint(found: &CheckpointFinding) -> Value {
    json!({
        "manifest": found.manifest,
        "position": found.position,
        "whole": found.whole.is_some(),
        "time_ms": found.whole.map(|(time, ..)| time.0),
        "run_bytes": found.whole.map(|(_, bytes, _)| bytes),
        "clean": found.whole.map(|(.., clean)| clean),
    })
}

fn queue(found: &QueueCensus) -> Value {
    let tasks = found.tasks.map(|tasks| {
        let counts = TaskCensus::STATES.iter().zip(tasks.0);
        counts.map(|(state, number)| (state.name().to_owned(), number.into())).collect::<Map<_, _>>()
    });
    json!({
        "name": found.name.to_string(),
        "ready": found.ready,
        "ready_bytes": found.ready_bytes,
        "kept_back": found.kept_back,
        "kept_back_bytes": found.kept_back_bytes,
        "tasks": tasks,
    })
}

fn damage(damage: &Damage) -> Value {
    let (meaning, refused) = match &damage.meaning {
        Meaning::StartRefused => ("start_refused", true),
        Meaning::Bodies { start_refused, .. } => ("bodies", *start_refused),
        Meaning::CheckpointPassedOver => ("checkpoint_passed_over", false),
        Meaning::FallbackLost => ("fallback_lost", false),
        Meaning::CheckpointsLost => ("checkpoints_lost", false),
        Meaning::Rows { start_refused, .. } => ("rows", *start_refused),
        Meaning::Nothing => ("nothing", false),
    };
    let queues: Map<String, Value> = match &damage.meaning {
        Meaning::Bodies { messages, .. } => {
            messages.iter().map(|count| (count.queue.to_string(), count.messages.into())).collect()
        }
        _ => Map::new(),
    };
    json!({
        "file": damage.file,
        "offset": damage.offset,
        "entries": damage.entries.as_ref().map(|range| [*range.start(), *range.end()]),
        "detail": damage.detail,
        "meaning": meaning,
        "start_refused": refused,
        "messages": queues,
    })
}
