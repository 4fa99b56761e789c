//! The slow SMS provider, and what it remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::site::{Reply, Site};
use super::sms::{Receipt, Sms};

/// The header by which a client names a message, so that handing it in again does not send it again. Real providers
/// have one too.
pub(super) const MESSAGE_ID: HeaderName = HeaderName::from_static("message-id");

/// How long it takes to send one.
pub(super) const TAKES: Duration = Duration::from_millis(20);
/// How many it sends at once.
pub(super) const AT_ONCE: usize = 4;
/// How many may wait; who comes then is turned away with 503.
pub(super) const WAITING_MAX: usize = 200;

/// Sends messages, [`AT_ONCE`] at a time, each in [`TAKES`].
#[derive(Debug)]
pub(super) struct Provider {
    /// Places for those who are sent or wait.
    room: Arc<Semaphore>,
    senders: Arc<Semaphore>,
    ledger: Arc<Ledger>,
}

/// What the provider has been asked for, by message.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<HashMap<String, u64>>);

impl Provider {
    pub(super) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)),
            senders: Arc::new(Semaphore::new(AT_ONCE)),
            ledger: Arc::default(),
        }
    }

    /// What it has been asked for.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Sends a message, unless it has been sent already.
    async fn send(&self, message: String, sms: Sms) -> Reply {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            let reason = format!("{} messages wait already; try again later", WAITING_MAX);
            return Reply::sorry(StatusCode::SERVICE_UNAVAILABLE, &reason);
        };
        let sender = Arc::clone(&self.senders).acquire_owned().await.expect("the senders are never closed");
        // From here on the message goes out, whether its client is still there or not: what a worker that was killed has
        // set going is not undone.
        let ledger = Arc::clone(&self.ledger);
        let sending = tokio::spawn(async move {
            if ledger.add(&message) == 1 {
                sleep(TAKES).await;
            }
            drop((sender, place));
            Receipt { message, to: sms.to }
        });
        match sending.await {
            Ok(receipt) => Reply::json(StatusCode::OK, &receipt),
            Err(error) => Reply::sorry(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

impl Site for Provider {
    async fn answer(&self, headers: HeaderMap, body: Bytes) -> Reply {
        let message = headers.get(MESSAGE_ID).and_then(|id| id.to_str().ok());
        match (message, serde_json::from_slice(&body)) {
            (Some(message), Ok(sms)) => self.send(message.to_owned(), sms).await,
            (None, _) => Reply::sorry(StatusCode::BAD_REQUEST, "the message has no id"),
            (_, Err(error)) => Reply::sorry(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
}

impl Ledger {
    /// How often this message was handed in. It went out once at most.
    pub(super) fn calls(&self, message: &str) -> u64 {
        self.0.lock().expect("nothing panics while it holds the ledger").get(message).copied().unwrap_or(0)
    }

    /// One more call with this message. Returns how many there were; only the first one sends it.
    pub(super) fn add(&self, message: &str) -> u64 {
        let mut calls = self.0.lock().expect("nothing panics while it holds the ledger");
        let calls = calls.entry(message.to_owned()).or_default();
        *calls += 1;
        *calls
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::super::site::Server;
    use super::*;
    use crate::http_client::{Connection, Request};

    fn sms(message: &str) -> Request {
        Request::json(hyper::Method::POST, "/sms", &Sms::of_caller(1))
            .header(MESSAGE_ID, message.parse().unwrap())
    }

    #[tokio::test]
    async fn a_message_is_sent_slowly_and_once_and_its_calls_are_counted() {
        let server = Server::start(Provider::new()).await.unwrap();
        let mut connection = Connection::new(server.access());
        let started = Instant::now();
        for message in ["a", "b", "a"] {
            let answer = connection.ask(&sms(message), Duration::from_secs(5)).await.unwrap();
            let receipt = Receipt { message: message.to_owned(), to: "+1555000001".to_owned() };
            assert_eq!(answer.json::<Receipt>().unwrap(), receipt);
        }
        assert!(started.elapsed() >= 2 * TAKES);
        let ledger = server.site.ledger();
        assert_eq!((ledger.calls("a"), ledger.calls("b"), ledger.calls("c")), (2, 1, 0));
    }

    #[tokio::test]
    async fn who_finds_the_room_full_is_turned_away() {
        let server = Server::start(Provider::new()).await.unwrap();
        let mut visits = JoinSet::new();
        for number in 0..AT_ONCE + WAITING_MAX + 50 {
            let mut connection = Connection::new(server.access());
            visits.spawn(async move {
                let request = sms(&number.to_string());
                connection.ask(&request, Duration::from_secs(20)).await.unwrap().status
            });
        }
        let statuses = visits.join_all().await;
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        let (sent, refused) = (count(StatusCode::OK), count(StatusCode::SERVICE_UNAVAILABLE));
        // While the last came, the first were sent.
        assert_eq!(sent + refused, statuses.len());
        assert!(sent >= AT_ONCE + WAITING_MAX && refused > 0, "{sent} sent, {refused} refused");
    }

    #[tokio::test]
    async fn a_message_goes_out_even_if_its_client_is_gone() {
        let server = Server::start(Provider::new()).await.unwrap();
        let mut connection = Connection::new(server.access());
        let soon = Duration::from_millis(10);
        assert!(connection.ask(&sms("a"), soon).await.is_err());
        assert_eq!(server.site.ledger().calls("a"), 1);
    }
}
