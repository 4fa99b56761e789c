//! Many connections that do a little each.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use amqp_wire::hot::{self, Content, HotMethod, Publication};
use amqp_wire::{FrameKind, FrameScanner, basic, confirm, queue};
use anyhow::{Result, anyhow, bail};
use rustix::event::{Timespec, epoll};
use testkit::amqp::{Endpoint, Peer, persistent, short};

use crate::idle::allow_files;
use crate::load::Run;
use crate::{Confirmed, Figures, Latencies, Subject, Times};

/// Many connections, each with a durable queue of its own to which it publishes 1 KB persistent messages with confirms, and from which
/// it consumes them with an ack each.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Connections.
    pub connections: usize,
    /// Each connection is to one of these virtual hosts, in turn.
    pub vhosts: Vec<String>,
    /// Messages a second, of all together.
    pub rate_per_s: u64,
}

const CHANNEL: u16 = 1;
const BODY_BYTES: usize = 1024;
/// What is due is written so often.
const TICK: Duration = Duration::from_millis(1);
/// How long the reading waits before it looks whether all is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One of the crowd: it is written to by two threads, each with one call a message.
struct Member {
    socket: TcpStream,
    /// A publish; its stamp is the front of the body.
    message: Vec<u8>,
    frame_max: u32,
    queue: String,
    endpoint: Endpoint,
}

/// Lets the crowd work.
///
/// # Errors
/// When the broker refuses something or leaves.
pub fn crowd(subject: &Subject, crowd: &Crowd, times: Times) -> Result<Figures> {
    allow_files(crowd.connections as u64 + 1000)?;
    let members: Vec<Member> =
        (0..crowd.connections).map(|number| Member::join(subject, crowd, number)).collect::<Result<_>>()?;
    let run = Run::new();
    let outcome = thread::scope(|scope| {
        let reading = scope.spawn(|| read_all(&run, &members));
        let writing = scope.spawn(|| write_all(&run, &members, crowd.rate_per_s));
        let mut figures = run.count(subject, times)?;
        run.stop();
        writing.join().map_err(|_| anyhow!("the writing has panicked"))??;
        figures.end_to_end = reading.join().map_err(|_| anyhow!("the reading has panicked"))??;
        Ok(figures)
    });
    members.iter().try_for_each(Member::leave)?;
    outcome
}

impl Member {
    fn join(subject: &Subject, crowd: &Crowd, number: usize) -> Result<Self> {
        let mut endpoint = subject.endpoint.clone();
        if let Some(vhost) = crowd.vhosts.get(number % crowd.vhosts.len().max(1)) {
            endpoint.virtual_host.clone_from(vhost);
        }
        let queue = format!("bench.crowd.{}.{number}", std::process::id());
        let mut peer = Peer::open(&endpoint)?;
        peer.open_channel(CHANNEL)?;
        let declare = queue::Declare { queue: short(&queue), durable: true, ..Default::default() };
        let _: queue::DeclareOk = peer.call(CHANNEL, declare)?;
        let confirm::SelectOk {} = peer.call(CHANNEL, confirm::Select { no_wait: false })?;
        let consume = basic::Consume { queue: short(&queue), ..Default::default() };
        let _: basic::ConsumeOk = peer.call(CHANNEL, consume)?;
        let publication = Publication { exchange: b"", routing_key: queue.as_bytes(), mandatory: false };
        let (frame_max, mut message) = (peer.frame_max(), Vec::new());
        let content = Content { properties: &persistent(), body: &[b'x'; BODY_BYTES] };
        hot::publish(&mut message, CHANNEL, frame_max, &publication, content);
        Ok(Self { socket: peer.socket()?, message, frame_max, queue, endpoint })
    }

    fn publish(&self, stamp: u64, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.extend_from_slice(&self.message);
        let at = out.len() - 1 - BODY_BYTES;
        out[at..][..8].copy_from_slice(&stamp.to_be_bytes());
        Ok((&self.socket).write_all(out)?)
    }

    fn leave(&self) -> Result<()> {
        let mut peer = Peer::open(&self.endpoint)?;
        peer.open_channel(CHANNEL)?;
        let delete = queue::Delete { queue: short(&self.queue), ..Default::default() };
        let _: queue::DeleteOk = peer.call(CHANNEL, delete)?;
        Ok(())
    }
}

/// Publishes at a pace, one member after the other.
fn write_all(run: &Run, members: &[Member], rate_per_s: u64) -> Result<()> {
    let (began, mut published, mut tick, mut out) = (run.stamp(), 0, 0, Vec::new());
    while !run.is_stopping() {
        tick += 1;
        let at = began + tick * TICK.as_nanos() as u64;
        run.sleep_until(at);
        let due = tick * rate_per_s / 1000;
        while published < due {
            members[published as usize % members.len()].publish(at, &mut out)?;
            published += 1;
        }
    }
    Ok(())
}

/// What was read of one member.
#[derive(Default)]
struct Heard {
    /// The rest of what was read: the front of a frame.
    input: Vec<u8>,
    received: u64,
    confirmed: Confirmed,
    acks: Vec<u8>,
}

/// Reads what comes, and acks each delivery.
fn read_all(run: &Run, members: &[Member]) -> Result<Latencies> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (number, member) in members.iter().enumerate() {
        epoll::add(&poll, &member.socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
    }
    let mut heard: Vec<Heard> = members.iter().map(|_| Heard::default()).collect();
    let (mut end_to_end, mut events) = (Latencies::default(), Vec::with_capacity(256));
    let wait = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.as_nanos() as _ };
    while !run.is_stopping() {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
        for event in &events {
            let number = event.data.u64() as usize;
            heard[number].read(run, &members[number], &mut end_to_end)?;
        }
    }
    Ok(end_to_end)
}

impl Heard {
    fn read(&mut self, run: &Run, member: &Member, end_to_end: &mut Latencies) -> Result<()> {
        let filled = self.input.len();
        self.input.resize(filled + 16 * 1024, 0);
        let read = (&member.socket).read(&mut self.input[filled..])?;
        if read == 0 {
            bail!("the broker closed a connection");
        }
        self.input.truncate(filled + read);
        let mut scanner = FrameScanner::new(&self.input, member.frame_max);
        while let Some(frame) = scanner.next_frame()? {
            let payload = scanner.payload(&frame);
            match frame.kind {
                FrameKind::Method => match HotMethod::parse(payload)? {
                    HotMethod::Ack(ack) => {
                        let before = self.confirmed.count();
                        self.confirmed.on_ack(ack.delivery_tag, ack.multiple);
                        run.published.fetch_add(self.confirmed.count() - before, Ordering::Relaxed);
                    }
                    _ => {
                        self.received += 1;
                        run.received.fetch_add(1, Ordering::Relaxed);
                        hot::ack(&mut self.acks, CHANNEL, self.received, false);
                    }
                },
                FrameKind::Body if run.is_measuring() => {
                    end_to_end.note(run.age(payload)?);
                }
                _ => {}
            }
        }
        let consumed = scanner.consumed_bytes();
        self.input.drain(..consumed);
        if !self.acks.is_empty() {
            (&member.socket).write_all(&self.acks)?;
            self.acks.clear();
        }
        Ok(())
    }
}
