//! What holds the journal's old files: those behind the last two checkpoints, which are there only for what lives in them.
//!
//! What lives is told by the rows of the newest checkpoint, which a job reads away from the engine. Who has it is asked of the core
//! afterwards, for one message of each file.

use std::sync::Arc;

use broker::{BodyOwner, Lsn, Standing, Timestamp};
use field_table::ShortString;
use journal::SegmentInfo;

use crate::checkpoint::{CheckpointError, CheckpointStore, Places};
use crate::engine::Engine;
use crate::run::Run;

/// The question what holds which file, half answered. Needs no engine: run it on a thread that may block, and not while a
/// [`crate::CheckpointJob`] runs, which may take files away that it reads.
#[derive(Debug)]
pub struct PinsJob {
    pub(crate) store: CheckpointStore,
    pub(crate) runs: Vec<Arc<Run>>,
    /// When the newest checkpoint was taken.
    pub(crate) as_of: Timestamp,
    pub(crate) files: Vec<SegmentInfo>,
    /// Entries that are needed whole, beside what rows name.
    pub(crate) beside: Arc<[Lsn]>,
}

/// What a [`PinsJob`] has found.
#[derive(Debug)]
pub struct PinsFound {
    as_of: Timestamp,
    files: Vec<FileFound>,
}

#[derive(Debug)]
struct FileFound {
    info: SegmentInfo,
    live_bytes: u64,
    live_bodies: u64,
    entries_in_use: u64,
    oldest: Option<(Lsn, u32, BodyOwner)>,
}

/// What holds which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// When the checkpoint was taken that tells what lives.
    pub as_of: Timestamp,
    /// The files, the oldest first.
    pub files: Vec<Pin>,
}

/// An old file of the journal, and what holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its name in the folder of the log.
    pub file: String,
    /// Space that it takes, in bytes.
    pub bytes: u64,
    /// Bytes of the messages and results that live in it.
    pub live_bytes: u64,
    /// How many these are; a message of several queues counts for each of them.
    pub live_bodies: u64,
    /// Entries that are needed beside them: for transient messages, or deliveries on their way.
    pub entries_in_use: u64,
    /// The oldest of the messages and results.
    pub oldest: Option<PinnedBody>,
}

/// A message or a result that holds a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedBody {
    /// What it is.
    pub owner: BodyOwner,
    /// The entry that it came with.
    pub entry: u64,
    /// The name of a message's queue.
    pub queue: Option<ShortString>,
    /// How a message stands now.
    pub standing: Option<Standing>,
}

impl PinsJob {
    /// Looks at all rows. Blocks.
    ///
    /// # Errors
    /// When a file of the checkpoint cannot be read.
    pub fn run(self) -> Result<PinsFound, CheckpointError> {
        // The journal is kept since the older of the two.
        let kept_since = match self.store.manifests()?[..] {
            [.., older, _] => older,
            _ => Lsn::NONE,
        };
        let old = self.files.into_iter().filter(|file| file.sealed && file.last.0 <= kept_since.0);
        let infos: Vec<SegmentInfo> = old.collect();
        let places = Places::of(&infos);
        let empty = |info| FileFound { info, live_bytes: 0, live_bodies: 0, entries_in_use: 0, oldest: None };
        let mut files: Vec<FileFound> = infos.into_iter().map(empty).collect();
        self.store.bodies(&self.runs, |body| {
            let Some((at, lsn)) = places.find(&body.stored) else { return };
            let (file, offset) = (&mut files[at], body.stored.place.offset);
            file.live_bytes += u64::from(body.stored.stored_bytes);
            file.live_bodies += 1;
            if file.oldest.is_none_or(|(oldest, oldest_offset, _)| (lsn, offset) < (oldest, oldest_offset)) {
                file.oldest = Some((lsn, offset, body.owner));
            }
        })?;
        for at in self.beside.iter().filter_map(|lsn| places.file_of(*lsn)) {
            files[at].entries_in_use += 1;
        }
        files.sort_by_key(|file| file.info.first);
        Ok(PinsFound { as_of: self.as_of, files })
    }
}

impl Engine {
    /// The job that finds out what holds the journal's files. Its outcome goes to [`Self::pins`]. Nothing while there is no
    /// checkpoint, and none once the engine has ended.
    #[must_use]
    pub fn pins_job(&self) -> Option<PinsJob> {
        let files = self.writer.as_ref()?.segments();
        self.checkpoints.pins_job(files)
    }

    /// Who has the messages that hold the files, by now.
    #[must_use]
    pub fn pins(&self, PinsFound { as_of, files }: PinsFound) -> Pins {
        let message = |file: &FileFound| match file.oldest {
            Some((.., BodyOwner::Message { queue, sequence })) => Some((queue, sequence)),
            _ => None,
        };
        let messages: Vec<_> = files.iter().filter_map(message).collect();
        let mut standings = self.broker.standings(&messages).into_iter();
        let pin = |file: FileFound| {
            let message = message(&file);
            let standing = message.and_then(|_| standings.next());
            let queue = message.and_then(|(queue, _)| self.broker.queue_name(queue).cloned());
            Pin {
                file: file.info.name().to_string(),
                bytes: file.info.bytes,
                live_bytes: file.live_bytes,
                live_bodies: file.live_bodies,
                entries_in_use: file.entries_in_use,
                oldest: file.oldest.map(|(lsn, _, owner)| PinnedBody {
                    owner,
                    entry: lsn.0,
                    queue,
                    standing,
                }),
            }
        };
        Pins { as_of, files: files.into_iter().map(pin).collect() }
    }
}
