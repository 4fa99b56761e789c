//! The folders: as they are seen now, and as they would be after a crash.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use super::random::Random;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

type Tree = BTreeMap<String, Node>;

/// One change of names, as it is written to the file system's own journal.
#[derive(Clone)]
enum Change {
    Add(String, Node),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
pub(super) struct Names {
    seen: Tree,
    durable: Tree,
    /// What leads from `durable` to `seen`, in order.
    pending: Vec<Change>,
}

impl Names {
    pub(super) fn create(&mut self, path: &str, inode: usize) -> io::Result<()> {
        self.check_parent(path)?;
        if self.exists(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.change(Change::Add(path.into(), Node::File(inode)));
        Ok(())
    }

    pub(super) fn create_directory(&mut self, path: &str) -> io::Result<()> {
        self.check_parent(path)?;
        match self.seen.get(path) {
            None => self.change(Change::Add(path.into(), Node::Directory)),
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(ErrorKind::AlreadyExists.into()),
        }
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, path: &str) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(Change::Remove(path.into()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.file(from)?;
        self.check_parent(to)?;
        self.change(Change::Rename(from.into(), to.into()));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        self.file(path)?;
        self.change(Change::Remove(path.into()));
        Ok(())
    }

    pub(super) fn file(&self, path: &str) -> io::Result<usize> {
        match self.seen.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Directory) => Err(ErrorKind::IsADirectory.into()),
            None => Err(io::Error::new(ErrorKind::NotFound, format!("no file {path}"))),
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = usize> {
        self.seen.values().filter_map(|node| match node {
            Node::File(inode) => Some(*inode),
            Node::Directory => None,
        })
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.seen.contains_key(path)
    }

    pub(super) fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        if !directory.is_empty() && self.seen.get(directory) != Some(&Node::Directory) {
            return Err(io::Error::new(ErrorKind::NotFound, format!("no folder {directory}")));
        }
        let inside = self.seen.keys().filter(|path| parent(path) == directory);
        Ok(inside.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect())
    }

    /// Syncing a folder commits what came before as well: the file systems we know journal names in one
    /// order.
    pub(super) fn sync(&mut self, directory: &str) {
        let concerns = |change: &Change| match change {
            Change::Add(path, _) | Change::Remove(path) => parent(path) == directory,
            Change::Rename(from, to) => parent(from) == directory || parent(to) == directory,
        };
        let count = self.pending.iter().rposition(concerns).map_or(0, |last| last + 1);
        self.pending.drain(..count).for_each(|change| apply(&mut self.durable, change));
    }

    /// Whether a crash may give a file back a name that it had before.
    pub(super) fn can_bring_names_back(&self) -> bool {
        self.pending
            .iter()
            .any(|change| matches!(change, Change::Rename(from, _) if self.durable.contains_key(from)))
    }

    pub(super) fn crash(&mut self, random: &mut Random) {
        let kept = random.up_to(self.pending.len());
        self.pending.drain(..kept).for_each(|change| apply(&mut self.durable, change));
        self.pending.clear();
        self.seen = self.durable.clone();
    }

    fn change(&mut self, change: Change) {
        self.pending.push(change.clone());
        apply(&mut self.seen, change);
    }

    fn check_parent(&self, path: &str) -> io::Result<()> {
        match parent(path) {
            "" => Ok(()),
            folder if self.seen.get(folder) == Some(&Node::Directory) => Ok(()),
            folder => Err(io::Error::new(ErrorKind::NotFound, format!("no folder {folder}"))),
        }
    }
}

fn apply(tree: &mut Tree, change: Change) {
    match change {
        Change::Add(path, node) => {
            tree.insert(path, node);
        }
        Change::Rename(from, to) => {
            if let Some(node) = tree.remove(&from) {
                tree.insert(to, node);
            }
        }
        Change::Remove(path) => {
            tree.remove(&path);
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
