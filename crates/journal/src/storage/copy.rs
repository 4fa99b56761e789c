//! Copying files, also off a disk that cannot read all of them.

use std::io::{self, ErrorKind, IoSlice};

use super::{Storage, StorageFile};

/// What is read at a time.
const PIECE_BYTES: u64 = 64 * 1024;
/// What is given up at a time where the disk cannot read.
const BLOCK_BYTES: usize = 4096;

/// Copies a file into a new one and syncs that; the sync of its folder is the caller's. How many bytes the disk could not
/// read: they are zeros in the copy. Runs of zeros take no room where the file system can leave them out.
///
/// # Errors
/// `AlreadyExists`, or what the system says of the new file.
pub fn copy(from: &dyn Storage, path: &str, to: &dyn Storage, new_path: &str) -> io::Result<u64> {
    let (source, target) = (from.open(path)?, to.create(new_path)?);
    let bytes = source.len()?;
    let mut piece = vec![0; PIECE_BYTES as usize];
    let (mut offset, mut unreadable) = (0, 0);
    while offset < bytes {
        let piece = &mut piece[..(bytes - offset).min(PIECE_BYTES) as usize];
        unreadable += read(&*source, piece, offset)?;
        if piece.iter().any(|byte| *byte != 0) {
            target.write_all_at(&mut [IoSlice::new(piece)], offset)?;
        }
        offset += piece.len() as u64;
    }
    target.set_len(bytes)?;
    target.sync_all()?;
    Ok(unreadable)
}

/// Fills the piece with what can be read. How many bytes cannot.
fn read(source: &dyn StorageFile, piece: &mut [u8], offset: u64) -> io::Result<u64> {
    match source.read_exact_at(piece, offset) {
        Ok(()) => return Ok(0),
        // The power is off, or the disk is gone: nothing that a smaller piece would mend.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(error),
        Err(_) => {}
    }
    let mut unreadable = 0;
    for (index, block) in piece.chunks_mut(BLOCK_BYTES).enumerate() {
        if source.read_exact_at(block, offset + (index * BLOCK_BYTES) as u64).is_err() {
            block.fill(0);
            unreadable += block.len() as u64;
        }
    }
    Ok(unreadable)
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStorage;
    use super::*;

    #[test]
    fn a_copy_has_all_bytes_and_never_replaces_another() {
        let (from, to) = (MemoryStorage::new(), MemoryStorage::new());
        let mut content = vec![0; 200_000];
        content[70_000..70_003].copy_from_slice(b"mid");
        from.create("file").unwrap().write_all_at(&mut [IoSlice::new(&content)], 0).unwrap();
        assert_eq!(copy(&from, "file", &to, "copy").unwrap(), 0);
        to.sync_directory("").unwrap();
        to.crash(1);
        let mut read = vec![1; content.len()];
        to.open("copy").unwrap().read_exact_at(&mut read, 0).unwrap();
        assert!(read == content);
        assert_eq!(copy(&from, "file", &to, "copy").unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
