//! The file that batches are written to.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::segments::Segments;

/// Small enough to stay in the page cache, so that writing a part of a page reads nothing.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Batches start at multiples of this many bytes: no sync writes a page of the one before again.
const ALIGNMENT_BYTES: u64 = 4096;

/// As many buffers as the kernel takes in one call.
const BUFFERS_PER_WRITE_MAX: usize = 1024;

/// A file that is written round and round, and never read.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    position: u64,
    /// What the next sync writes; and after it, what can be used again.
    pub(super) buffers: Vec<Vec<u8>>,
}

impl Journal {
    /// Makes the file, all its blocks written once: a sync changes no metadata then.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let path = folder.join("null-broker.journal");
        let create = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
            let zeros = vec![0; 1024 * 1024];
            for _ in 0..FILE_BYTES / zeros.len() as u64 {
                file.write_all(&zeros)?;
            }
            file.sync_all()?;
            Ok(file)
        };
        let file = create().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file, position: 0, buffers: Vec::new() })
    }

    /// Takes what the next sync is to write.
    pub(super) fn fill(&mut self, mut bytes: Segments) {
        self.buffers.extend(std::iter::from_fn(|| bytes.pop()));
    }

    /// Writes the buffers and waits until the disk has them.
    pub(super) fn sync(&mut self) -> Result<()> {
        let bytes = self.buffers.iter().map(|buffer| buffer.len() as u64).sum::<u64>();
        if bytes == 0 {
            return Ok(());
        }
        if self.position + bytes > FILE_BYTES {
            self.position = 0;
        }
        self.write()?;
        self.file.sync_data().context("cannot sync the journal")?;
        self.position = self.position.next_multiple_of(ALIGNMENT_BYTES);
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let mut slices: Vec<_> = self.buffers.iter().map(|buffer| IoSlice::new(buffer)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let now = &rest[..rest.len().min(BUFFERS_PER_WRITE_MAX)];
            let written =
                rustix::io::pwritev(&self.file, now, self.position).context("cannot write the journal")?;
            self.position += written as u64;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }
}
