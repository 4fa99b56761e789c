//! The publishing side of a load: whole windows in few writes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use amqp_wire::hot::{self, Content, HotMethod, Publication};
use amqp_wire::{FrameKind, FrameScanner, Method, tx};
use anyhow::{Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use testkit::amqp::{persistent, transient};

use super::Run;
use super::topology::{CHANNEL, PublishTarget};
use crate::workload::{Safety, UNCONFIRMED_MAX};
use crate::{Confirmed, Latencies, Workload};

/// The kernel takes this much in one call without waiting for the other side.
const WRITE_BYTES_MAX: usize = 256 * 1024;

/// A paced publisher writes what is due so often.
const TICK_NS: u64 = 1_000_000;

/// Publishes until the socket is cut; returns how long confirms took.
pub(super) fn run(
    socket: TcpStream,
    run: &Run,
    workload: &Workload,
    target: &PublishTarget,
    frame_max: u32,
) -> Result<Latencies> {
    let mut publisher = Publisher::new(socket, run, workload, target, frame_max);
    let outcome = match (workload.rate_per_s, workload.safety) {
        (Some(rate), _) => publisher.run_paced(rate),
        (None, Safety::None) => publisher.run_unconfirmed(),
        (None, Safety::Confirms(window)) => publisher.run_confirmed(window),
        (None, Safety::Transactions { .. }) => publisher.run_transactions(),
    };
    match outcome {
        Err(error) if !run.is_stopping() => Err(error.context("publisher")),
        _ => Ok(publisher.latencies),
    }
}

struct Publisher<'a> {
    socket: TcpStream,
    run: &'a Run,
    /// What is sent again and again on each channel: one message, or a transaction of some.
    units: Vec<Unit>,
    /// Messages in a unit.
    unit_messages: u64,
    out: Vec<u8>,
    input: Vec<u8>,
    input_bytes: usize,
    frame_max: u32,
    published: u64,
    confirmed: Confirmed,
    /// Commits that were answered.
    committed: u64,
    /// Channels without a transaction under way.
    free: Vec<u16>,
    /// What is in [`Run::published`] of this one.
    told: u64,
    /// The last publish of each write that waits for its confirm, and the stamp of the write.
    waiting: VecDeque<(u64, u64)>,
    latencies: Latencies,
}

/// Bytes that are sent again and again.
struct Unit {
    bytes: Vec<u8>,
    /// Where the bodies in it begin: with the stamp.
    stamps_at: Vec<usize>,
    /// When it was last sent.
    sent_at: u64,
}

impl Unit {
    fn new(channel: u16, workload: &Workload, target: &PublishTarget, frame_max: u32) -> Self {
        let properties = if workload.persistent { persistent() } else { transient() };
        let (exchange, routing_key) = (target.exchange.as_bytes(), target.routing_key.as_bytes());
        let publication = Publication { exchange, routing_key, mandatory: false };
        let body = vec![b'x'; workload.body_bytes];
        let (mut bytes, mut stamps_at) = (Vec::new(), Vec::new());
        for _ in 0..workload.safety.publishes_together() {
            let content = Content { properties: &properties, body: &body };
            hot::publish(&mut bytes, channel, frame_max, &publication, content);
            // The body is the last thing in the message but its end byte.
            stamps_at.push(bytes.len() - 1 - workload.body_bytes);
        }
        if let Safety::Transactions { .. } = workload.safety {
            Method::from(tx::Commit {}).encode_frame(&mut bytes, channel);
        }
        Self { bytes, stamps_at, sent_at: 0 }
    }

    fn stamp(&mut self, stamp: u64) {
        self.sent_at = stamp;
        for at in &self.stamps_at {
            self.bytes[*at..][..8].copy_from_slice(&stamp.to_be_bytes());
        }
    }
}

impl<'a> Publisher<'a> {
    fn new(
        socket: TcpStream,
        run: &'a Run,
        workload: &Workload,
        target: &PublishTarget,
        frame_max: u32,
    ) -> Self {
        let (channels, is_tx) = match workload.safety {
            Safety::Transactions { channels, .. } => (channels, true),
            Safety::None | Safety::Confirms(_) => (1, false),
        };
        let channels = CHANNEL..CHANNEL + channels;
        Self {
            socket,
            run,
            units: channels.clone().map(|channel| Unit::new(channel, workload, target, frame_max)).collect(),
            unit_messages: workload.safety.publishes_together(),
            out: Vec::with_capacity(WRITE_BYTES_MAX),
            input: vec![0; 64 * 1024],
            input_bytes: 0,
            frame_max,
            published: 0,
            confirmed: Confirmed::default(),
            committed: 0,
            free: if is_tx { channels.collect() } else { Vec::new() },
            told: 0,
            waiting: VecDeque::new(),
            latencies: Latencies::default(),
        }
    }

    /// One transaction is under way on each channel.
    fn run_transactions(&mut self) -> Result<()> {
        loop {
            let stamp = self.run.stamp();
            self.out.clear();
            for channel in self.free.drain(..) {
                let unit = &mut self.units[usize::from(channel - CHANNEL)];
                unit.stamp(stamp);
                self.out.extend_from_slice(&unit.bytes);
            }
            self.socket.write_all(&self.out)?;
            self.read_confirms()?;
            self.tell(self.committed * self.unit_messages);
        }
    }

    /// So many messages wait for their confirm at most.
    fn run_confirmed(&mut self, window: u64) -> Result<()> {
        loop {
            while self.confirmed.count() + window > self.published {
                self.write(self.confirmed.count() + window - self.published, self.run.stamp())?;
            }
            self.read_confirms()?;
            self.tell(self.confirmed.count());
        }
    }

    fn run_unconfirmed(&mut self) -> Result<()> {
        loop {
            // What others have published is behind as well.
            let published = self.run.published.load(Ordering::Relaxed);
            let behind = published.saturating_sub(self.run.received.load(Ordering::Relaxed));
            if behind >= UNCONFIRMED_MAX {
                if self.run.is_stopping() {
                    return Ok(());
                }
                thread::sleep(Duration::from_micros(200));
                continue;
            }
            self.write(UNCONFIRMED_MAX - behind, self.run.stamp())?;
            self.tell(self.published);
        }
    }

    /// Publishes at a pace, whatever comes back: a broker that is slow does not make the load less.
    fn run_paced(&mut self, rate_per_s: u64) -> Result<()> {
        let (began, mut tick) = (self.run.stamp(), 0);
        loop {
            tick += 1;
            let at = began + tick * TICK_NS;
            self.read_confirms_until(at)?;
            self.run.sleep_until(at);
            let due = tick * rate_per_s / (1_000_000_000 / TICK_NS);
            while self.published < due {
                self.write(due - self.published, at)?;
            }
        }
    }

    fn read_confirms_until(&mut self, at: u64) -> Result<()> {
        loop {
            let now = self.run.stamp();
            if now >= at {
                return Ok(());
            }
            let wait = Timespec { tv_sec: 0, tv_nsec: (at - now) as _ };
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
            if rustix::event::poll(&mut fds, Some(&wait))? == 0 {
                return Ok(());
            }
            self.read_confirms()?;
            self.tell(self.confirmed.count());
        }
    }

    fn tell(&mut self, published: u64) {
        self.run.published.fetch_add(published - self.told, Ordering::Relaxed);
        self.told = published;
    }

    /// Publishes at most so many messages in one write. `stamp` is when they should have been sent.
    fn write(&mut self, count_max: u64, stamp: u64) -> Result<()> {
        let unit = &mut self.units[0];
        unit.stamp(stamp);
        let count = count_max.min((WRITE_BYTES_MAX / unit.bytes.len()).max(1) as u64);
        self.out.clear();
        (0..count).for_each(|_| self.out.extend_from_slice(&unit.bytes));
        self.socket.write_all(&self.out)?;
        self.published += count;
        self.waiting.push_back((self.published, stamp));
        Ok(())
    }

    /// Waits for confirms, or answers to commits.
    fn read_confirms(&mut self) -> Result<()> {
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
            let payload = scanner.payload(&frame);
            match HotMethod::parse(payload)? {
                HotMethod::Ack(ack) => self.confirmed.on_ack(ack.delivery_tag, ack.multiple),
                _ => match Method::decode(payload)? {
                    Method::Tx(tx::Method::CommitOk(_)) => {
                        self.committed += 1;
                        self.free.push(frame.channel);
                    }
                    other => bail!("expected confirms, got {other:?}"),
                },
            }
        }
        let consumed = scanner.consumed_bytes();
        self.input.copy_within(consumed..self.input_bytes, 0);
        self.input_bytes -= consumed;
        self.note_latencies();
        Ok(())
    }

    fn note_latencies(&mut self) {
        let (now, safe_up_to) = (self.run.stamp(), self.confirmed.up_to());
        if self.run.is_measuring() {
            for channel in &self.free {
                let sent_at = self.units[usize::from(channel - CHANNEL)].sent_at;
                self.latencies.note(Duration::from_nanos(now - sent_at));
            }
        }
        while let Some(&(last, stamp)) = self.waiting.front()
            && last <= safe_up_to
        {
            if self.run.is_measuring() {
                self.latencies.note(Duration::from_nanos(now - stamp));
            }
            self.waiting.pop_front();
        }
    }
}
