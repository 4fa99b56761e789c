//! The publishing side of a run: whole windows in few writes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use amqp_wire::hot::{self, Content, HotMethod, Publication};
use amqp_wire::{FrameKind, FrameScanner};
use anyhow::{Context, Result, bail};
use testkit::amqp::{persistent, transient};

use super::latency::Latencies;
use super::measure::Run;
use super::workload::{UNCONFIRMED_MAX, Workload};
use crate::confirmed::Confirmed;

/// The kernel takes this much in one call without waiting for the other side.
const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Publishes until the socket is cut; returns how long confirms took.
pub(super) fn run(
    socket: TcpStream,
    run: &Run,
    workload: &Workload,
    queue: &str,
    frame_max: u32,
) -> Result<Latencies> {
    let mut publisher = Publisher::new(socket, run, workload, queue, frame_max);
    let outcome = match workload.confirm_window {
        Some(window) => publisher.run_confirmed(window),
        None => publisher.run_unconfirmed(),
    };
    match outcome {
        Err(error) if !run.is_stopping() => Err(error.context("publisher")),
        _ => Ok(publisher.latencies),
    }
}

struct Publisher<'a> {
    socket: TcpStream,
    run: &'a Run,
    /// One message as it goes over the wire; its stamp is the front of the body.
    message: Vec<u8>,
    stamp_at: usize,
    out: Vec<u8>,
    input: Vec<u8>,
    input_bytes: usize,
    frame_max: u32,
    published: u64,
    /// The last publish of each write that waits for its confirm, and the stamp of the write.
    waiting: VecDeque<(u64, u64)>,
    latencies: Latencies,
}

impl<'a> Publisher<'a> {
    fn new(socket: TcpStream, run: &'a Run, workload: &Workload, queue: &str, frame_max: u32) -> Self {
        let properties = if workload.persistent { persistent() } else { transient() };
        let publication = Publication { exchange: b"", routing_key: queue.as_bytes(), mandatory: false };
        let (body, mut message) = (vec![b'x'; workload.body_bytes], Vec::new());
        hot::publish(
            &mut message,
            1,
            frame_max,
            &publication,
            Content { properties: &properties, body: &body },
        );
        // The body is the last thing in the message but its end byte.
        let stamp_at = message.len() - 1 - workload.body_bytes;
        Self {
            socket,
            run,
            message,
            stamp_at,
            out: Vec::with_capacity(WRITE_BYTES_MAX),
            input: vec![0; 64 * 1024],
            input_bytes: 0,
            frame_max,
            published: 0,
            waiting: VecDeque::new(),
            latencies: Latencies::default(),
        }
    }

    fn run_confirmed(&mut self, window: usize) -> Result<()> {
        let (window, mut confirmed) = (window as u64, Confirmed::default());
        loop {
            while self.published - confirmed.count() < window {
                self.write(window - (self.published - confirmed.count()))?;
            }
            self.read_confirms(&mut confirmed)?;
            self.run.published.store(confirmed.count(), Ordering::Relaxed);
        }
    }

    fn run_unconfirmed(&mut self) -> Result<()> {
        loop {
            let behind = self.published - self.run.received.load(Ordering::Relaxed);
            if behind >= UNCONFIRMED_MAX {
                if self.run.is_stopping() {
                    return Ok(());
                }
                thread::sleep(Duration::from_micros(200));
                continue;
            }
            self.write(UNCONFIRMED_MAX - behind)?;
            self.run.published.store(self.published, Ordering::Relaxed);
        }
    }

    /// Publishes at most so many messages in one write.
    fn write(&mut self, count_max: u64) -> Result<()> {
        let stamp = self.run.stamp();
        self.message[self.stamp_at..][..8].copy_from_slice(&stamp.to_be_bytes());
        let count = count_max.min((WRITE_BYTES_MAX / self.message.len()) as u64);
        self.out.clear();
        (0..count).for_each(|_| self.out.extend_from_slice(&self.message));
        self.socket.write_all(&self.out)?;
        self.published += count;
        self.waiting.push_back((self.published, stamp));
        Ok(())
    }

    /// Waits for confirms.
    fn read_confirms(&mut self, confirmed: &mut Confirmed) -> Result<()> {
        let read = self.socket.read(&mut self.input[self.input_bytes..])?;
        if read == 0 {
            bail!("the broker closed the connection");
        }
        self.input_bytes += read;
        let mut scanner = FrameScanner::new(&self.input[..self.input_bytes], self.frame_max);
        while let Some(frame) = scanner.next_frame()? {
            if frame.kind != FrameKind::Method {
                continue;
            }
            match HotMethod::parse(scanner.payload(&frame))? {
                HotMethod::Ack(ack) => confirmed.on_ack(ack.delivery_tag, ack.multiple),
                other => bail!("expected confirms, got {other:?}"),
            }
        }
        let consumed = scanner.consumed_bytes();
        self.input.copy_within(consumed..self.input_bytes, 0);
        self.input_bytes -= consumed;
        self.note_latencies(confirmed.up_to());
        Ok(())
    }

    fn note_latencies(&mut self, confirmed: u64) {
        let now = self.run.stamp();
        while let Some(&(last, stamp)) = self.waiting.front()
            && last <= confirmed
        {
            if self.run.is_measuring() {
                self.latencies.note(Duration::from_nanos(now - stamp));
            }
            self.waiting.pop_front();
        }
    }
}

/// The stamp at the front of a body.
pub(super) fn stamp_of(body: &[u8]) -> Result<u64> {
    body.first_chunk().map(|stamp| u64::from_be_bytes(*stamp)).context("a body without a stamp")
}
