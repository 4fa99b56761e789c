//! AMQP workers as they have always been: take a message, publish the answer to its `reply-to`, acknowledge it.
//!
//! Nothing in here knows of tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use amqp_wire::{ContentHeader, FrameKind, Method, Properties, ShortString, basic, hot};

use super::echo;
use super::link::{CHANNEL, Link};
use crate::client::{ClientError, Url, delivery_tag, unexpected};

/// Connected workers that have not begun.
#[derive(Debug)]
pub(super) struct Workers(Vec<Link>);

/// Workers at work, each on a thread of its own. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct RunningWorkers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<u64, ClientError>>>,
}

/// Messages sent ahead to a worker.
const PREFETCH_COUNT: u16 = 200;
/// How often a worker without work looks whether it shall stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Workers {
    /// Connects them; they are part of what the server holds from the start.
    pub(super) fn connect(url: &Url, count: u32) -> Result<Self, ClientError> {
        let links: Result<_, _> = (0..count).map(|_| Link::open(url)).collect();
        links.map(Self)
    }

    /// Lets them work.
    pub(super) fn start(self, queue: &str) -> RunningWorkers {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |link| {
            let worker = Worker { link, message: None, answered: 0 };
            let (queue, stop) = (ShortString::from_text_cut(queue), Arc::clone(&stop));
            std::thread::spawn(move || worker.run(queue, &stop))
        };
        let threads = self.0.into_iter().map(start).collect();
        RunningWorkers { stop, threads }
    }
}

impl RunningWorkers {
    /// A worker that ended although nobody told it to.
    pub(super) fn has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Stops them and returns how many messages they have answered.
    ///
    /// # Errors
    /// What ended the first of those that ended by themselves.
    pub(super) fn stop(mut self) -> Result<u64, ClientError> {
        self.stop.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for thread in self.threads.drain(..) {
            let panicked = || ClientError::Protocol("a worker panicked; please report it".to_owned());
            answered += thread.join().map_err(|_| panicked())??;
        }
        Ok(answered)
    }
}

impl Drop for RunningWorkers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Worker {
    link: Link,
    /// A delivery whose body is not whole yet.
    message: Option<Message>,
    answered: u64,
}

#[derive(Debug, Default)]
struct Message {
    delivery_tag: u64,
    body_bytes: u64,
    reply_to: Option<Vec<u8>>,
    correlation_id: Option<ShortString>,
    body: Vec<u8>,
}

impl Worker {
    fn run(mut self, queue: ShortString, stop: &AtomicBool) -> Result<u64, ClientError> {
        self.link.send(CHANNEL, basic::Qos { prefetch_count: PREFETCH_COUNT, ..basic::Qos::default() });
        match self.link.next_method()? {
            Method::Basic(basic::Method::QosOk(_)) => {}
            other => return Err(unexpected(&other)),
        }
        self.link.send(CHANNEL, basic::Consume { queue, ..basic::Consume::default() });
        self.link.set_read_timeout(LOOK_EVERY)?;
        while !stop.load(Ordering::Relaxed) {
            self.take_what_came()?;
            // All replies to what one read brought go out with one write.
            self.link.flush()?;
            self.link.read_more()?;
        }
        Ok(self.answered)
    }

    fn take_what_came(&mut self) -> Result<(), ClientError> {
        while let Some(frame) = self.link.next_frame()? {
            match frame.kind {
                FrameKind::Method => {
                    let method = self.link.method(&frame)?;
                    if let Some(delivery_tag) = delivery_tag(&method) {
                        self.message = Some(Message { delivery_tag, ..Message::default() });
                    } else if !matches!(method, Method::Basic(basic::Method::ConsumeOk(_))) {
                        return Err(unexpected(&method));
                    }
                }
                FrameKind::Header => {
                    let header = ContentHeader::decode(self.link.payload(&frame)).map_err(protocol)?;
                    let properties = Properties::decode(header.properties.as_bytes()).map_err(protocol)?;
                    if let Some(message) = &mut self.message {
                        message.body_bytes = header.body_bytes;
                        message.reply_to = properties.reply_to.map(|address| address.to_vec());
                        message.correlation_id = properties.correlation_id;
                    }
                }
                FrameKind::Body => {
                    if let Some(message) = &mut self.message {
                        message.body.extend_from_slice(self.link.payload(&frame));
                    }
                }
                FrameKind::Heartbeat => continue,
            }
            self.answer_if_whole(frame.kind);
        }
        Ok(())
    }

    fn answer_if_whole(&mut self, last: FrameKind) {
        let is_whole = |message: &mut Message| message.body.len() as u64 >= message.body_bytes;
        if last == FrameKind::Method {
            return;
        }
        let Some(message) = self.message.take_if(is_whole) else { return };
        let Link { output, frame_max, .. } = &mut self.link;
        if let Some(reply_to) = &message.reply_to {
            let publication = hot::Publication { exchange: b"", routing_key: reply_to, mandatory: false };
            let properties =
                Properties { correlation_id: message.correlation_id, ..Properties::default() }.to_bytes();
            let body = echo::answer(&message.body);
            let content = hot::Content { properties: &properties, body: &body };
            hot::publish(output, CHANNEL, *frame_max, &publication, content);
            self.answered += 1;
        }
        hot::ack(output, CHANNEL, message.delivery_tag, false);
    }
}

fn protocol(error: impl std::fmt::Display) -> ClientError {
    ClientError::Protocol(error.to_string())
}

#[cfg(test)]
mod tests {
    use amqp_wire::queue;
    use testkit::amqp::{Endpoint, Peer};

    use super::*;
    use crate::server::Server;
    use crate::settings::{Listen, Settings};

    /// Requests of an ordinary RPC client, whose answers come back through a queue of its own.
    fn requests_are_answered(address: &str) {
        const REQUESTS: u64 = 500;
        let mut peer = Peer::open(&Endpoint::guest(address)).unwrap();
        peer.open_channel(1).unwrap();
        for queue in ["work", "answers"] {
            let queue = ShortString::from_static(queue);
            let _: queue::DeclareOk =
                peer.call(1, queue::Declare { queue, ..queue::Declare::default() }).unwrap();
        }
        let workers = Workers::connect(&format!("amqp://{address}").parse().unwrap(), 3).unwrap();
        for number in 0..REQUESTS {
            let properties = Properties {
                reply_to: Some(ShortString::from_static("answers")),
                correlation_id: Some(ShortString::from_text_cut(&number.to_string())),
                ..Properties::default()
            };
            let publication = hot::Publication { exchange: b"", routing_key: b"work", mandatory: false };
            peer.publish(1, &publication, &properties.to_bytes(), &echo::question(7, number)).unwrap();
        }
        // An empty message has no body frame, and one without an address gets no reply.
        let publication = hot::Publication { exchange: b"", routing_key: b"work", mandatory: false };
        peer.publish(1, &publication, &Properties::default().to_bytes(), b"").unwrap();

        let workers = workers.start("work");
        let queue = ShortString::from_static("answers");
        let _: basic::ConsumeOk =
            peer.call(1, basic::Consume { queue, no_ack: true, ..basic::Consume::default() }).unwrap();
        let mut is_answered = vec![false; REQUESTS as usize];
        for _ in 0..REQUESTS {
            let (_, content) = peer.expect_delivery(1).unwrap();
            let correlation_id = Properties::decode(&content.properties).unwrap().correlation_id.unwrap();
            let number: u64 = correlation_id.to_string().parse().unwrap();
            assert_eq!(content.body, echo::answer(&echo::question(7, number)));
            assert!(!std::mem::replace(&mut is_answered[number as usize], true), "{number} came twice");
        }
        assert!(!workers.has_ended());
        assert_eq!(workers.stop().unwrap(), REQUESTS);
        // All were acknowledged: nothing comes back when the workers are gone.
        let queue = ShortString::from_static("work");
        let left: queue::DeleteOk =
            peer.call(1, queue::Delete { queue, ..queue::Delete::default() }).unwrap();
        assert_eq!(left.message_count, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_request_gets_its_answer_with_its_correlation_id() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings { data: folder.path().join("data"), ..Settings::default() };
        let any_port = Listen { addresses: vec!["127.0.0.1:0".to_owned()], asked_for: true };
        (settings.amqp.listen, settings.http.listen) = (any_port.clone(), any_port);
        let server = Server::start(settings).await.unwrap();
        let address = server.amqp_addresses()[0].to_string();
        tokio::task::spawn_blocking(move || requests_are_answered(&address)).await.unwrap();
    }

    #[test]
    fn a_broker_that_is_not_there_is_told() {
        let error = Workers::connect(&"amqp://127.0.0.1:1".parse().unwrap(), 1).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
