//! What one client is to be sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use amqp_wire::{Method, hot};
use tokio::sync::Notify;

use super::pool::Pool;
use super::pressure::Pressure;
use super::staged::{Stage, Staged};

/// What a method other than a delivery takes at most, in bytes. Longer ones only make a buffer grow.
const METHOD_BYTES: usize = 1024;

/// The output of one connection: filled by whoever has something for its client, emptied by its writer.
#[derive(Debug)]
pub(super) struct Outbox {
    contents: RefCell<Contents>,
    pressure: Rc<Pressure>,
    waiting_bytes: Cell<usize>,
    is_closed: Cell<bool>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Contents {
    frames: Staged,
    collecting_confirms: Vec<Confirm>,
    syncing_confirms: Vec<Confirm>,
}

/// All publishes of a channel up to this one.
#[derive(Debug)]
struct Confirm {
    channel: u16,
    up_to: u64,
}

impl Outbox {
    pub(super) fn new(pressure: Rc<Pressure>) -> Self {
        let (contents, waiting_bytes, is_closed) = Default::default();
        Self { contents, pressure, waiting_bytes, is_closed, news: Notify::new() }
    }

    /// Appends what `write` appends, which should be at most `bytes_max` bytes.
    pub(super) fn append(
        &self,
        stage: Stage,
        bytes_max: usize,
        pool: &mut Pool,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut contents = self.contents.borrow_mut();
        let out = contents.frames.at(stage).room(bytes_max, pool);
        let start = out.len();
        write(out);
        self.count(out.len() - start);
    }

    /// Answers with a method.
    pub(super) fn answer(&self, channel: u16, method: &Method, pool: &mut Pool) {
        self.append(Stage::Ready, METHOD_BYTES, pool, |out| method.encode_frame(out, channel));
        self.wake();
    }

    /// Confirms a channel's publishes up to this one, with the next sync or at once.
    pub(super) fn confirm(&self, stage: Stage, channel: u16, up_to: u64, pool: &mut Pool) {
        if stage == Stage::Ready {
            self.append(stage, METHOD_BYTES, pool, |out| hot::ack(out, channel, up_to, true));
            self.wake();
            return;
        }
        let confirms = &mut self.contents.borrow_mut().collecting_confirms;
        match confirms.iter_mut().find(|confirm| confirm.channel == channel) {
            Some(confirm) => confirm.up_to = up_to,
            None => confirms.push(Confirm { channel, up_to }),
        }
    }

    /// A sync begins.
    pub(super) fn begin_sync(&self) {
        let contents = &mut *self.contents.borrow_mut();
        contents.frames.begin_sync();
        std::mem::swap(&mut contents.collecting_confirms, &mut contents.syncing_confirms);
    }

    /// The sync is done: what waited for it goes out.
    pub(super) fn end_sync(&self, pool: &mut Pool) {
        let confirms = {
            let contents = &mut *self.contents.borrow_mut();
            contents.frames.end_sync(pool);
            std::mem::take(&mut contents.syncing_confirms)
        };
        for &Confirm { channel, up_to } in &confirms {
            self.append(Stage::Ready, METHOD_BYTES, pool, |out| hot::ack(out, channel, up_to, true));
        }
        self.wake();
        self.recycle(confirms);
    }

    fn recycle(&self, mut confirms: Vec<Confirm>) {
        confirms.clear();
        self.contents.borrow_mut().syncing_confirms = confirms;
    }

    /// Tells the writer if something may go out.
    pub(super) fn wake(&self) {
        if !self.contents.borrow_mut().frames.at(Stage::Ready).is_empty() {
            self.news.notify_one();
        }
    }

    /// Nothing will come any more.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.news.notify_one();
    }

    /// Waits for bytes that may go out; `None` after the last ones of a closed outbox.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            let next = self.contents.borrow_mut().frames.at(Stage::Ready).pop();
            if next.is_some() || self.is_closed.get() {
                return next;
            }
            self.news.notified().await;
        }
    }

    /// So many bytes are written.
    pub(super) fn count_written(&self, bytes: usize) {
        self.waiting_bytes.set(self.waiting_bytes.get() - bytes);
        self.pressure.remove(bytes);
    }

    fn count(&self, bytes: usize) {
        self.waiting_bytes.set(self.waiting_bytes.get() + bytes);
        self.pressure.add(bytes);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.pressure.remove(self.waiting_bytes.get());
    }
}
