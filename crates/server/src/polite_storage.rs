//! Storage for work in the background.

use std::io::{self, IoSlice};
use std::sync::Arc;

use journal::storage::{Storage, StorageFile};

use crate::background::give_way;

/// Storage whose files let others have the processor after each read and each write in the background.
pub(crate) struct PoliteStorage<Files>(pub(crate) Files);

struct PoliteFile(Arc<dyn StorageFile>);

impl<Files: Storage> Storage for PoliteStorage<Files> {
    fn create(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(PoliteFile(self.0.create(path)?)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(PoliteFile(self.0.open(path)?)))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.0.exists(path)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.0.create_directory(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.0.remove_directory(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.0.sync_directory(path)
    }

    fn available_bytes(&self) -> io::Result<u64> {
        self.0.available_bytes()
    }
}

impl StorageFile for PoliteFile {
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.0.write_all_at(slices, offset)?;
        give_way();
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)?;
        give_way();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.0.preallocate(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use journal::storage::MemoryStorage;

    use super::*;

    #[test]
    fn all_is_as_in_the_storage_behind_it() {
        let behind = MemoryStorage::new();
        let storage = PoliteStorage(behind.clone());
        storage.create_directory("folder").unwrap();
        let file = storage.create("folder/one").unwrap();
        file.write_all_at(&mut [IoSlice::new(b"abc")], 1).unwrap();
        storage.rename("folder/one", "folder/two").unwrap();
        let mut read = [0; 4];
        storage.open("folder/two").unwrap().read_exact_at(&mut read, 0).unwrap();
        assert_eq!((&read, file.len().unwrap()), (b"\0abc", 4));
        assert_eq!(behind.list("folder").unwrap(), ["two"]);
        storage.remove("folder/two").unwrap();
        assert!(!storage.exists("folder/two").unwrap());
    }
}
