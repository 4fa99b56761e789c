//! The web service that wants messages sent.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::provider::MESSAGE_ID;
use super::site::{Reply, Site};
use super::sms::Sms;
use crate::http_client::{Answer, HttpError, Pool, Request, paths};

/// A service whose one handler has a message sent.
#[derive(Debug)]
pub(super) struct WebService {
    way: Way,
    /// Lines to the provider or to the broker.
    lines: Pool,
}

/// How the handler does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It calls the provider and waits.
    Provider,
    /// It puts a task into this queue and is done.
    Queue(&'static str),
}

/// What a caller asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Its number in the shop's books.
    pub(super) order: String,
    /// What is to be sent.
    pub(super) sms: Sms,
}

/// What a caller is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Acknowledgement {
    /// The id under which the provider knows, or will know, the message.
    pub(super) message: String,
}

/// The handler gives up after this.
const TIMEOUT: Duration = Duration::from_secs(10);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Deserialize)]
struct Enqueued {
    id: String,
}

impl WebService {
    pub(super) fn new(way: Way, lines: Pool) -> Self {
        Self { way, lines }
    }

    async fn handle(&self, order: Order) -> Result<Reply, HttpError> {
        let Order { order, sms } = order;
        let Ok(id) = HeaderValue::try_from(&order) else {
            return Ok(Reply::sorry(StatusCode::BAD_REQUEST, "an order has a number"));
        };
        match self.way {
            Way::Provider => {
                let send = Request::json(Method::POST, "/sms", &sms).header(MESSAGE_ID, id);
                let answer = self.lines.ask(&send, TIMEOUT).await?;
                Ok(match answer.status {
                    StatusCode::OK => Reply::json(StatusCode::OK, &Acknowledgement { message: order }),
                    _ => failed("the provider", &answer),
                })
            }
            Way::Queue(queue) => {
                let task = json!({"name": "sms.send", "payload": sms});
                let put = Request::json(Method::POST, paths::tasks(queue), &task).header(IDEMPOTENCY_KEY, id);
                let answer = self.lines.ask(&put, TIMEOUT).await?;
                Ok(match answer.json::<Enqueued>() {
                    Ok(Enqueued { id }) if answer.status == StatusCode::ACCEPTED => {
                        Reply::json(StatusCode::ACCEPTED, &Acknowledgement { message: id })
                    }
                    _ => failed("the broker", &answer),
                })
            }
        }
    }
}

impl Site for WebService {
    async fn answer(&self, _headers: HeaderMap, body: Bytes) -> Reply {
        match serde_json::from_slice(&body) {
            Ok(order) => self
                .handle(order)
                .await
                .unwrap_or_else(|error| Reply::sorry(StatusCode::GATEWAY_TIMEOUT, &error.to_string())),
            Err(error) => Reply::sorry(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
}

fn failed(who: &str, answer: &Answer) -> Reply {
    Reply::sorry(StatusCode::BAD_GATEWAY, &format!("{who} says {}", answer.problem()))
}

#[cfg(test)]
mod tests {
    use super::super::provider::Provider;
    use super::super::site::Server;
    use super::*;
    use crate::http_client::Connection;
    use crate::http_client::stub::{Stub, json, problem};

    async fn order(service: WebService) -> Answer {
        let server = Server::start(service).await.unwrap();
        let order = Order { order: "o1".to_owned(), sms: Sms::of_caller(1) };
        let request = Request::json(Method::POST, "/orders", &order);
        Connection::new(server.access()).ask(&request, TIMEOUT).await.unwrap()
    }

    #[tokio::test]
    async fn it_sends_the_message_itself() {
        let provider = Server::start(Provider::new()).await.unwrap();
        let answer = order(WebService::new(Way::Provider, Pool::new(provider.access()))).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(provider.site.ledger().calls("o1"), 1);
    }

    #[tokio::test]
    async fn or_it_leaves_it_to_the_queue() {
        let broker = Stub::script(vec![json(202, &json!({"id": "t1", "state": "ready"}))]).await;
        let answer = order(WebService::new(Way::Queue("sms"), Pool::new(broker.access()))).await;
        assert_eq!((answer.status, answer.body), (StatusCode::ACCEPTED, r#"{"message":"t1"}"#.into()));
        let seen = &broker.seen()[0];
        assert_eq!((seen.line.as_str(), seen.header("idempotency-key")), ("POST /v1/queues/sms/tasks", "o1"));
    }

    #[tokio::test]
    async fn what_goes_wrong_behind_it_is_its_callers_failure() {
        let broker = Stub::script(vec![problem(429, &[], "queue-full", "")]).await;
        let answer = order(WebService::new(Way::Queue("sms"), Pool::new(broker.access()))).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    }
}
