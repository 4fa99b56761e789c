//! What a worker process of the demonstration does.

use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderValue;
use tokio::io::AsyncReadExt;

use super::broker;
use super::provider::MESSAGE_ID;
use super::stage::QUEUE;
use crate::http_client::{Access, HttpError, Pool, Request};
use crate::lease_worker::{Handler, Interruption, LeaseWorker, Outcome, Refused, Stopper, Task};

/// Tasks at once. Twice as many as the provider's share of a worker, so that it is never idle while the broker is talked
/// to.
pub(super) const CONCURRENCY: usize = 4;
/// For an answer of the provider.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Works until standard input ends, which is when the demonstration is over.
pub(crate) async fn work(broker: &str, provider: &str, lease: Duration) -> Result<(), Refused> {
    let (stopper, stop) = Stopper::new();
    let worker = LeaseWorker {
        access: broker::access(broker),
        queue: QUEUE.to_owned(),
        name: format!("demo:{}", std::process::id()),
        lease,
        concurrency: CONCURRENCY,
        handler: Sender { provider: Pool::new(Access::anonymous(provider)) },
    };
    let parent = async {
        // Nothing is ever written to it, so that whatever comes is the end.
        let _ = tokio::io::stdin().read(&mut [0]).await;
        stopper.now();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = worker.run(stop, |event| eprintln!("{event:?}")) => outcome,
        () = parent => Ok(()),
    }
}

/// Hands messages in at the provider, under the ids of their tasks.
struct Sender {
    provider: Pool,
}

impl Handler for Sender {
    async fn handle(&self, task: &Task, mut interruption: Interruption) -> Outcome {
        tokio::select! {
            outcome = self.send(task) => outcome.unwrap_or_else(|error| failed(error.to_string())),
            () = interruption.wait() => Outcome::Interrupted,
        }
    }
}

impl Sender {
    async fn send(&self, task: &Task) -> Result<Outcome, HttpError> {
        let json = HeaderValue::from_static("application/json");
        let Ok(message) = HeaderValue::try_from(&task.id) else {
            return Ok(failed(format!("{:?} is no id of a message", task.id)));
        };
        let request = Request::new(Method::POST, "/sms")
            .body(json.clone(), task.payload.clone())
            .header(MESSAGE_ID, message);
        let answer = self.provider.ask(&request, TIMEOUT).await?;
        Ok(if answer.status.is_success() {
            Outcome::Done { content_type: json, result: answer.body }
        } else {
            failed(answer.problem().to_string())
        })
    }
}

fn failed(detail: String) -> Outcome {
    Outcome::Failed { title: "The provider did not send it".to_owned(), detail, retry: true }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::super::provider::Provider;
    use super::super::site::Server;
    use super::super::sms::{Receipt, Sms};
    use super::*;

    async fn handle(provider: Access, payload: Bytes) -> Outcome {
        let (_interrupter, interruption) = Interruption::never();
        let task = Task {
            id: "t1".to_owned(),
            name: "sms.send".to_owned(),
            attempt: 1,
            epoch: 1,
            content_type: "application/json".to_owned(),
            payload,
        };
        Sender { provider: Pool::new(provider) }.handle(&task, interruption).await
    }

    #[tokio::test]
    async fn the_task_is_handed_in_under_its_id_and_the_receipt_is_its_result() {
        let provider = Server::start(Provider::new()).await.unwrap();
        let payload = serde_json::to_vec(&Sms::of_caller(3)).unwrap();
        let outcome = handle(provider.access(), payload.into()).await;
        let Outcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        let receipt: Receipt = serde_json::from_slice(&result).unwrap();
        assert_eq!(receipt, Receipt { message: "t1".to_owned(), to: "+1555000003".to_owned() });
        assert_eq!(provider.site.ledger().calls("t1"), 1);
    }

    #[tokio::test]
    async fn a_provider_that_does_not_send_it_is_tried_again() {
        let retry = |outcome: &Outcome| matches!(outcome, Outcome::Failed { retry: true, .. });
        let provider = Server::start(Provider::new()).await.unwrap();
        assert!(retry(&handle(provider.access(), "no JSON".into()).await));
        assert!(retry(&handle(Access::anonymous("127.0.0.1:1"), "{}".into()).await));
    }
}
