//! `forebay doctor`

mod document;
mod losses;
mod report;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::ValueHint;
use engine::doctor::{DataFiles, Examination, examine, make_aside, repair};
use journal::FileOptions;
use journal::storage::{DirectoryStorage, MemoryStorage, Storage};

use super::{Failure, exit};
use crate::clock;
use crate::data_directory::{DataDirectory, DataDirectoryError};
use crate::randomness::random;

/// Look into a data directory that no server uses, and repair it.
///
/// Shows each virtual host's journal, checkpoints and queues, what a start would do, and every damaged place with file and byte
/// and what follows from it. Reads all of the journal, also the old parts that a start never looks at. Changes nothing
/// without --repair.
///
/// --repair first copies what is damaged into a new folder damaged/N of the data directory, then makes the directory start
/// again with everything that can be read, and says what was lost. If it is interrupted, run it again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(super) struct Doctor {
    /// The data directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: PathBuf,
    /// Put what is damaged aside and make the directory start again
    #[arg(long)]
    repair: bool,
    /// Print one JSON document instead of text
    #[arg(long, conflicts_with = "repair")]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   nothing is damaged, or it is repaired
  65  something is damaged
  69  the directory could not be looked at or not be repaired: it is in use, it is none, the disk fails";

/// The journal's folder in a data directory.
const JOURNAL: &str = "journal";
/// What a repair leaves of its words, beside the copies.
const REPORT: &str = "report.txt";
const CHECKPOINTS: &str = "checkpoints";

impl Doctor {
    pub(super) fn run(self) -> Result<(), Failure> {
        let unavailable = |error: anyhow::Error| Failure::new(exit::UNAVAILABLE, error);
        let data = open(&self.directory).map_err(unavailable)?;
        let files = files(&data, self.repair).map_err(unavailable)?;
        let logs = files.logs().map_err(|error| unavailable(error.into()))?;
        let mut examinations = Vec::new();
        for log in logs {
            examinations.push(examine(&files, &log).map_err(|error| unavailable(error.into()))?);
        }
        match self.json {
            true => println!("{}", document::of(&files, &examinations)),
            false => print!("{}", self.text(&data, &files, &examinations)),
        }
        examinations.retain(|examination| !examination.is_sound());
        match (examinations.is_empty(), self.repair) {
            (true, _) => Ok(()),
            (false, false) => Err(Failure::new(exit::DATA, advice(&examinations))),
            (false, true) => repair_all(&data, &files, &examinations).map_err(unavailable),
        }
    }

    fn text(&self, data: &DataDirectory, files: &DataFiles, examinations: &[Examination]) -> String {
        let mut text = format!("Data directory {}\n", data.path().display());
        if examinations.is_empty() {
            text.push_str("\nThere is no virtual host in it.\n");
        }
        for examination in examinations {
            text.push('\n');
            text.push_str(&report::of(files, examination));
            if !examination.is_sound() && !self.repair {
                text.push_str(&losses::to_come(examination));
            }
        }
        if examinations.iter().all(Examination::is_sound) {
            text.push_str("\nNothing is damaged.\n");
        }
        text
    }
}

/// Takes the directory as a server would, but never makes one.
fn open(path: &Path) -> anyhow::Result<DataDirectory> {
    let is_one = [JOURNAL, CHECKPOINTS].iter().any(|folder| path.join(folder).is_dir());
    if !is_one {
        anyhow::bail!(
            "{} is no data directory of Forebay: there is neither a folder '{JOURNAL}' nor '{CHECKPOINTS}' in it",
            path.display()
        );
    }
    DataDirectory::open(path).map_err(|error| match error {
        DataDirectoryError::InUse { path, holder } => anyhow::anyhow!(
            "the data directory {} is in use by a server{holder}; stop it first, or look into a copy of the directory",
            path.display()
        ),
        other => other.into(),
    })
}

fn files(data: &DataDirectory, repair: bool) -> anyhow::Result<DataFiles> {
    let journal = data.path().join(JOURNAL);
    let journal: Arc<dyn Storage> = match journal.is_dir() {
        true => Arc::new(DirectoryStorage::new(journal)),
        false if repair => Arc::new(DirectoryStorage::new(data.create_folder(JOURNAL)?)),
        // Lost as a whole: it looks like an empty one.
        false => Arc::new(MemoryStorage::new()),
    };
    let storage = Arc::new(DirectoryStorage::new(data.path()));
    Ok(DataFiles { data: storage, journal, journal_folder: JOURNAL.to_owned() })
}

fn advice(damaged: &[Examination]) -> anyhow::Error {
    let refused = damaged.iter().any(|examination| examination.start.is_err());
    let start = if refused { "a start would be refused" } else { "a start would succeed all the same" };
    anyhow::anyhow!(
        "the data directory is damaged; {start}. Copy the whole directory before anything else. If the disk or a backup has \
         the named files whole, bring them back; if not, `forebay doctor DIR --repair` keeps all that can be read"
    )
}

fn repair_all(data: &DataDirectory, files: &DataFiles, damaged: &[Examination]) -> anyhow::Result<()> {
    let aside = make_aside(files)?;
    let mut report = File::create_new(data.path().join(&aside).join(REPORT))?;
    for examination in damaged {
        let done = repair(files, &examination.log, &aside, FileOptions::new(random()), clock::now())?;
        let text = losses::of_repair(examination, &done);
        print!("\n{text}");
        report.write_all(format!("{}{text}\n", report::of(files, examination)).as_bytes())?;
    }
    report.sync_all()?;
    println!(
        "\nRepaired: a start finds everything that could be read. What was damaged lies in {aside}, with this report;"
    );
    println!("keep it until you are sure that nobody misses anything.");
    Ok(())
}
