//! What a strand has of one page of its messages.

use super::page::Page;
use super::volume::Volume;

/// The seat of a page in its strand: 24 bytes, wherever the page is.
#[derive(Debug)]
pub(crate) enum Seat {
    /// None of its messages is alive.
    Empty,
    /// It is in a run and not in memory.
    Cold(ColdPage),
    /// It is in memory.
    Here(Box<Page>),
}

/// A page that is in a run as it was when it left memory. All its living messages are ready: whoever has one keeps it here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColdPage {
    /// Its living messages.
    pub(crate) volume: Volume,
    /// Somebody was asked to bring it.
    pub(crate) is_wanted: bool,
    /// It cannot be read. What is done to its messages comes to nothing.
    pub(crate) is_damaged: bool,
}

impl ColdPage {
    pub(crate) fn new(volume: Volume) -> Self {
        Self { volume, is_wanted: false, is_damaged: false }
    }
}

impl Seat {
    pub(crate) fn page(&self) -> Option<&Page> {
        match self {
            Self::Here(page) => Some(page),
            Self::Empty | Self::Cold(_) => None,
        }
    }

    pub(crate) fn page_mut(&mut self) -> Option<&mut Page> {
        match self {
            Self::Here(page) => Some(page),
            Self::Empty | Self::Cold(_) => None,
        }
    }

    /// Whether a run has it, as it is or as it was.
    pub(crate) fn is_stored(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Cold(_) => true,
            Self::Here(page) => page.is_stored(),
        }
    }
}
