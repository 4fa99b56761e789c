//! The consuming side of a load: hundreds of deliveries in one read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use amqp_wire::{Frame, FrameKind, FrameScanner, Method, hot};
use anyhow::{Context, Result, bail};

use super::Run;
use crate::workload::Safety;
use crate::{Latencies, Workload};

const READ_BYTES: usize = 256 * 1024;

/// Of how many deliveries one is timed.
const TIMED_EVERY: u64 = 16;

/// Consumes until the socket is cut; returns how long messages took from end to end.
pub(super) fn run(socket: TcpStream, run: &Run, workload: &Workload, frame_max: u32) -> Result<Latencies> {
    let mut consumer = Consumer {
        socket,
        run,
        ack_every: workload.ack_every,
        timed_every: if is_slow(workload) { 1 } else { TIMED_EVERY },
        received: 0,
        told: 0,
        out: Vec::new(),
        latencies: Latencies::default(),
    };
    match consumer.run(frame_max) {
        Err(error) if !run.is_stopping() => Err(error.context("consumer")),
        _ => Ok(consumer.latencies),
    }
}

struct Consumer<'a> {
    socket: TcpStream,
    run: &'a Run,
    ack_every: Option<u64>,
    timed_every: u64,
    received: u64,
    /// What is in [`Run::received`] of this one.
    told: u64,
    out: Vec<u8>,
    latencies: Latencies,
}

/// So few messages that each can be timed.
fn is_slow(workload: &Workload) -> bool {
    workload.safety == Safety::Confirms(1) || workload.rate_per_s.is_some()
}

impl Consumer<'_> {
    fn run(&mut self, frame_max: u32) -> Result<()> {
        let (mut input, mut filled) = (vec![0; READ_BYTES], 0);
        loop {
            let read = self.socket.read(&mut input[filled..])?;
            if read == 0 {
                bail!("the broker closed the connection");
            }
            filled += read;
            let mut scanner = FrameScanner::new(&input[..filled], frame_max);
            while let Some(frame) = scanner.next_frame()? {
                self.on_frame(&frame, scanner.payload(&frame))?;
            }
            let consumed = scanner.consumed_bytes();
            input.copy_within(consumed..filled, 0);
            filled -= consumed;
            self.run.received.fetch_add(self.received - self.told, Ordering::Relaxed);
            self.told = self.received;
            if !self.out.is_empty() {
                self.socket.write_all(&self.out)?;
                self.out.clear();
            }
        }
    }

    fn on_frame(&mut self, frame: &Frame, payload: &[u8]) -> Result<()> {
        match frame.kind {
            FrameKind::Method => self.on_method(payload),
            // Every body of the bench fits a frame.
            FrameKind::Body => self.on_body(payload),
            FrameKind::Header | FrameKind::Heartbeat => Ok(()),
        }
    }

    fn on_method(&mut self, payload: &[u8]) -> Result<()> {
        let [0, 60, 0, 60, consumer_tag_bytes, rest @ ..] = payload else {
            bail!("expected deliveries, got {:?}", Method::decode(payload)?);
        };
        let tag = rest.get(usize::from(*consumer_tag_bytes)..).and_then(|rest| rest.first_chunk());
        let tag = u64::from_be_bytes(*tag.context("a delivery that ends before its tag")?);
        self.received += 1;
        if tag != self.received {
            bail!("delivery tag {tag} after {} deliveries", self.received);
        }
        if self.ack_every.is_some_and(|every| tag.is_multiple_of(every)) {
            hot::ack(&mut self.out, 1, tag, self.ack_every != Some(1));
        }
        Ok(())
    }

    fn on_body(&mut self, payload: &[u8]) -> Result<()> {
        if self.received.is_multiple_of(self.timed_every) && self.run.is_measuring() {
            self.latencies.note(self.run.age(payload)?);
        }
        Ok(())
    }
}
