//! The examination: reads everything, changes nothing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use broker::{Broker, Conclusions, Home, LostMessage, Lsn, Record};
use field_table::ShortString;
use journal::{Flaw, FlawKind, LogName, Survey};

use super::findings::{CheckpointFinding, Damage, Examination, Meaning, QueueCount, Start};
use super::salvage::{Salvage, replay_up_to, salvage};
use super::{DataFiles, DoctorError, Remains};
use crate::checkpoint::{Bring, CheckpointDamage, CheckpointStore, Loaded, Manifest};

/// Looks at one log and its checkpoints. Nobody may have opened them.
///
/// Takes as long as the disk takes to read all of the journal, and as much memory as a start.
///
/// # Errors
/// See [`DoctorError`]. What is damaged is a finding, not an error.
pub fn examine(files: &DataFiles, log: &LogName) -> Result<Examination, DoctorError> {
    investigate(files, log).map(|(examination, _)| examination)
}

/// The examination, with the state that a repair leaves and the newest whole checkpoint's manifest.
pub(super) fn investigate(
    files: &DataFiles,
    log: &LogName,
) -> Result<(Examination, (Broker, Option<Manifest>)), DoctorError> {
    let survey = Survey::of(Arc::clone(&files.journal), log)?;
    let (checkpoints, newest) = look_at_checkpoints(files, log)?;
    refuse_newer(files, survey.as_ref(), &checkpoints)?;
    let mut rest = Rest::default();
    // Where the journal goes back to its first entry, nobody needs a checkpoint.
    let is_trimmed = survey.as_ref().is_none_or(|survey| survey.foresee(None).is_err());
    let newest = match newest {
        None if is_trimmed => look_at_the_rest(files, log, survey.as_ref(), &mut rest)?,
        newest => newest,
    };
    let (manifest, broker) = newest.unzip();
    let state = salvage(survey.as_ref(), manifest.as_ref().zip(broker), rest.conclusions)?;
    let start = match rest.rows.is_empty() {
        true => foresee(survey.as_ref(), manifest.as_ref(), &state),
        false => start_around_damage(files, survey.as_ref(), log)?,
    };
    let Salvage { mut broker, from, mut losses, .. } = state;
    let is_whole = |finding: &&CheckpointFinding| finding.whole.is_some();
    let fallback = checkpoints.iter().rev().filter(is_whole).nth(1).map(|finding| Lsn(finding.position));
    let findings =
        Findings { files, survey: survey.as_ref(), broker: &broker, from, fallback, lost: &losses.messages };
    let (mut damages, scars) = findings.of_journal();
    damages.extend(match &rest.rows[..] {
        [] => of_checkpoints(&checkpoints),
        rows => of_rows(rows, start.is_err()),
    });
    damages.extend(findings.unexplained(&damages, &start));
    losses.glimpses = findings.glimpses();
    losses.rows = rest.rows;
    broker.drop_lost(&losses.messages);
    let census = broker.census();
    let log = log.clone();
    let examination = Examination { log, survey, checkpoints, start, census, damages, scars, losses };
    Ok((examination, (broker, manifest)))
}

/// All checkpoints, oldest first, and the state of the newest whole one.
type Checkpoints = (Vec<CheckpointFinding>, Option<(Manifest, Broker)>);

fn look_at_checkpoints(files: &DataFiles, log: &LogName) -> Result<Checkpoints, DoctorError> {
    let (mut findings, mut newest) = (Vec::new(), None);
    let Some(store) = CheckpointStore::look(Arc::clone(&files.data), log)? else {
        return Ok((findings, newest));
    };
    for position in store.manifests()? {
        let loaded = store.load_one(position, Broker::new(broker::Settings::default()), Bring::All);
        let (whole, damage) = match loaded {
            Ok(Loaded { manifest, broker, .. }) => {
                let whole = (manifest.time, manifest.state_bytes(), manifest.clean);
                newest = Some((manifest, broker));
                (Some(whole), None)
            }
            Err(damage) => (None, Some(damage)),
        };
        let manifest = store.manifest_path(position);
        findings.push(CheckpointFinding { manifest, position: position.0, whole, damage });
    }
    Ok((findings, newest))
}

/// What is left of a checkpoint that is not whole.
#[derive(Default)]
struct Rest {
    /// What cannot be read of it.
    rows: Vec<CheckpointDamage>,
    conclusions: Conclusions,
}

/// No checkpoint is whole: the newest whose manifest is.
fn look_at_the_rest(
    files: &DataFiles,
    log: &LogName,
    survey: Option<&Survey>,
    rest: &mut Rest,
) -> Result<Option<(Manifest, Broker)>, DoctorError> {
    let Some(store) = CheckpointStore::look(Arc::clone(&files.data), log)? else { return Ok(None) };
    for position in store.manifests()?.into_iter().rev() {
        // One of version 1 has no runs, and damage anywhere is damage to all of it.
        if !store.read_manifest(position).is_ok_and(|manifest| !manifest.runs().is_empty()) {
            continue;
        }
        let mut conclusions = Conclusions::default();
        let old = replay_up_to(survey, position)?;
        if let Ok((manifest, broker, rows)) = store.load_over(position, old, &mut conclusions) {
            *rest = Rest { rows, conclusions };
            return Ok(Some((manifest, broker)));
        }
    }
    Ok(None)
}

/// What a start would do that has no whole checkpoint: it halts the queues of which messages are lost, if that is all, and if
/// nothing that has come since belongs where they were.
fn start_around_damage(
    files: &DataFiles,
    survey: Option<&Survey>,
    log: &LogName,
) -> Result<Result<Start, String>, DoctorError> {
    let refused =
        || Ok(Err("no checkpoint is whole, and more is lost than messages of some queues".to_owned()));
    let store = CheckpointStore::look(Arc::clone(&files.data), log)?;
    let fresh = || Broker::new(broker::Settings::default());
    let loaded = store.map(|store| store.load_around_damage(u64::MAX, fresh)).transpose()?.flatten();
    let Some((Loaded { manifest, mut broker, .. }, survey)) = loaded.zip(survey) else { return refused() };
    let foresight = match survey.foresee(Some(manifest.cursor)) {
        Ok(foresight) => foresight,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut start = Start { checkpoint: manifest.position.0, torn: foresight.torn, ..Start::default() };
    for entry in survey.entries(journal::Lsn(manifest.position.0)) {
        let entry = entry?;
        if entry.lsn > survey.durable {
            break;
        }
        start.entries += 1;
        start.bytes += entry.bytes.len() as u64;
        for record in Record::read_entry(Lsn(entry.lsn.0), entry.bytes) {
            let record = record?;
            if broker.is_blocked_by_damage(&record) {
                return refused();
            }
            broker.apply(record);
        }
    }
    start.halted = broker.halted_queues().map(|(name, _)| name.clone()).collect();
    Ok(Ok(start))
}

/// What this version does not understand is no damage, and it must not be repaired away.
fn refuse_newer(
    files: &DataFiles,
    survey: Option<&Survey>,
    checkpoints: &[CheckpointFinding],
) -> Result<(), DoctorError> {
    let segment = survey.and_then(|survey| survey.newer.as_ref()).map(|file| files.journal_file(file));
    let mut damages = checkpoints.iter().filter_map(|finding| finding.damage.as_ref());
    let checkpoint = damages.find(|damage| damage.is_newer).map(|damage| damage.file.clone());
    match segment.or(checkpoint) {
        Some(file) => Err(DoctorError::NewerFormat { file }),
        None => Ok(()),
    }
}

/// What a start would do: the journal is asked, so that both always agree.
fn foresee(survey: Option<&Survey>, manifest: Option<&Manifest>, state: &Salvage) -> Result<Start, String> {
    let checkpoint = state.from.0;
    let Some(survey) = survey else {
        return match checkpoint {
            0 => Ok(Start::default()),
            _ => Err("there are checkpoints, but the journal's folder is missing".to_owned()),
        };
    };
    let foresight =
        survey.foresee(manifest.map(|manifest| manifest.cursor)).map_err(|error| error.to_string())?;
    let (entries, bytes) = (state.entries, state.bytes);
    Ok(Start { checkpoint, entries, bytes, torn: foresight.torn, halted: Vec::new() })
}

fn of_checkpoints(checkpoints: &[CheckpointFinding]) -> Vec<Damage> {
    let newest_whole = checkpoints.iter().rposition(|finding| finding.whole.is_some());
    let damaged =
        checkpoints.iter().enumerate().filter_map(|(at, finding)| Some((at, finding.damage.as_ref()?)));
    damaged
        .map(|(at, damage)| Damage {
            file: damage.file.clone(),
            offset: damage.offset,
            entries: None,
            detail: damage.detail.clone(),
            meaning: match newest_whole {
                None => Meaning::CheckpointsLost,
                Some(newest) if at > newest => Meaning::CheckpointPassedOver,
                Some(_) => Meaning::FallbackLost,
            },
            remains: None,
        })
        .collect()
}

fn of_rows(rows: &[CheckpointDamage], start_refused: bool) -> Vec<Damage> {
    let damage = |damage: &CheckpointDamage| Damage {
        file: damage.file.clone(),
        offset: damage.offset,
        entries: None,
        detail: damage.detail.clone(),
        meaning: Meaning::Rows { start_refused, about: damage.rows.clone() },
        remains: None,
    };
    rows.iter().map(damage).collect()
}

/// What the flaws of a journal are weighed against.
struct Findings<'a> {
    files: &'a DataFiles,
    survey: Option<&'a Survey>,
    broker: &'a Broker,
    /// The newest whole checkpoint.
    from: Lsn,
    /// The whole one before it.
    fallback: Option<Lsn>,
    lost: &'a [LostMessage],
}

impl Findings<'_> {
    /// Damages and scars, in the order of the log.
    fn of_journal(&self) -> (Vec<Damage>, Vec<Damage>) {
        let (mut damages, mut scars) = (Vec::new(), Vec::new());
        let Some(survey) = self.survey else { return (damages, scars) };
        for flaw in &survey.flaws {
            let is_told = |lsn: &journal::Lsn| *lsn <= survey.durable;
            if flaw.entries.as_ref().is_some_and(|entries| !is_told(entries.start())) {
                // Nobody was told of it: a torn tail, of which the start speaks.
                continue;
            }
            let damage = self.weigh(flaw);
            match damage.meaning {
                Meaning::Nothing if flaw.kind == FlawKind::Gap => {}
                Meaning::Nothing => scars.push(damage),
                _ => damages.push(damage),
            }
        }
        (damages, scars)
    }

    fn weigh(&self, flaw: &Flaw) -> Damage {
        let entries = flaw.entries.as_ref().map(|entries| entries.start().0..=entries.end().0);
        let is_replayed = entries.as_ref().is_some_and(|entries| *entries.end() > self.from.0);
        let meaning = match &entries {
            None => Meaning::StartRefused,
            Some(entries) => self.meaning(entries, is_replayed),
        };
        let shows_records = flaw.kind == FlawKind::Entries && is_replayed;
        let remains = self.survey.filter(|_| shows_records);
        let remains = remains.map(|survey| Remains::of(survey.remains(flaw), self.broker));
        Damage {
            file: self.files.journal_file(&flaw.file),
            offset: flaw.offset,
            entries,
            detail: flaw.detail.clone(),
            meaning,
            remains: remains.filter(|remains| !remains.is_empty()),
        }
    }

    fn meaning(&self, entries: &RangeInclusive<u64>, start_refused: bool) -> Meaning {
        let here = |message: &&LostMessage| home(message).is_some_and(|lsn| entries.contains(&lsn.0));
        let (messages, results) = count(self.lost.iter().filter(here));
        match () {
            () if !messages.is_empty() || results > 0 => Meaning::Bodies { messages, results, start_refused },
            () if start_refused => Meaning::StartRefused,
            () if self.fallback.is_some_and(|fallback| *entries.end() > fallback.0) => Meaning::FallbackLost,
            () => Meaning::Nothing,
        }
    }

    /// What no flaw of a file explains: bodies in segments that are gone without a trace, and a start that is refused for
    /// what is not there at all.
    fn unexplained(&self, known: &[Damage], start: &Result<Start, String>) -> Vec<Damage> {
        let is_known = |lsn: Lsn| {
            let mut entries = known.iter().filter_map(|damage| damage.entries.as_ref());
            entries.any(|entries| entries.contains(&lsn.0))
        };
        let gone = self.lost.iter().filter(|message| home(message).is_some_and(|lsn| !is_known(lsn)));
        let (messages, results) = count(gone.clone());
        let bounds = gone.filter_map(home).map(|lsn| lsn.0);
        let entries = bounds.clone().min().zip(bounds.max()).map(|(first, last)| first..=last);
        let journal = self.files.journal_file("");
        let missing = entries.map(|entries| Damage {
            file: journal.clone(),
            offset: 0,
            entries: Some(entries),
            detail: "the segment is missing".to_owned(),
            meaning: Meaning::Bodies { messages, results, start_refused: false },
            remains: None,
        });
        let explains = |damage: &Damage| match damage.meaning {
            Meaning::StartRefused | Meaning::CheckpointsLost => true,
            Meaning::Rows { start_refused, .. } => start_refused,
            Meaning::Bodies { start_refused, .. } => start_refused,
            _ => false,
        };
        let refusal = start.as_ref().err().filter(|_| !known.iter().any(explains));
        let refusal = refusal.map(|words| Damage {
            file: journal.clone(),
            offset: 0,
            entries: None,
            detail: words.clone(),
            meaning: Meaning::StartRefused,
            remains: None,
        });
        missing.into_iter().chain(refusal).collect()
    }

    /// What lies where each lost message lay, if it looks like one.
    fn glimpses(&self) -> Vec<Option<broker::Envelope>> {
        // Neighbours share their entry.
        let mut last: Option<(Lsn, Vec<u8>)> = None;
        let glimpse = |message: &LostMessage| {
            let lsn = home(message)?;
            if last.as_ref().is_none_or(|(known, _)| *known != lsn) {
                last = Some((lsn, self.remains(lsn)));
            }
            let start = message.stored.place.offset as usize;
            let range = start..start.checked_add(message.stored.stored_bytes as usize)?;
            let stored = last.as_ref()?.1.get(range)?;
            broker::Envelope::from_stored(bytes::Bytes::copy_from_slice(stored)).ok()
        };
        self.lost.iter().map(glimpse).collect()
    }

    /// What lies where the payload of a damaged entry lay; nothing if it is not known where that was.
    fn remains(&self, lsn: Lsn) -> Vec<u8> {
        let Some(survey) = self.survey else { return Vec::new() };
        let flaw = survey.flaw_of(journal::Lsn(lsn.0));
        // Of several entries, nobody knows where each began.
        let flaw =
            flaw.filter(|flaw| flaw.entries.as_ref().is_some_and(|entries| entries.start() == entries.end()));
        flaw.map(|flaw| survey.remains(flaw)).unwrap_or_default()
    }
}

fn home(message: &LostMessage) -> Option<Lsn> {
    match message.stored.place.home() {
        Home::Entry(lsn) => Some(lsn),
        Home::Volatile(_) => None,
    }
}

/// Messages by queue, and results.
fn count<'a>(lost: impl Iterator<Item = &'a LostMessage>) -> (Vec<QueueCount>, u64) {
    let (mut by_queue, mut results): (BTreeMap<ShortString, u64>, u64) = (BTreeMap::new(), 0);
    for message in lost {
        match message.is_result {
            true => results += 1,
            false => *by_queue.entry(message.queue.clone()).or_default() += 1,
        }
    }
    (by_queue.into_iter().map(|(queue, messages)| QueueCount { queue, messages }).collect(), results)
}
