//! Service, worker and broker in one process, talked to as a browser would.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use forebay::{InMemoryServer, Server};
use forebay_client::{Client, TaskType};
use forebay_worker::WorkerError;
use serde_json::{Value, json};
use sms_service::provider::Provider;
use sms_service::service::router;
use sms_service::sms::SendSms;
use sms_service::worker::worker;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Stage {
    broker: InMemoryServer,
    client: Client,
    router: Router,
    provider: Arc<Provider>,
}

impl Stage {
    async fn new() -> Self {
        let broker = Server::in_memory().await.unwrap();
        let client = Client::connect(broker.amqp_url()).await.unwrap();
        client.declare_task_queue(SendSms::QUEUE).await.unwrap();
        let provider = Arc::new(Provider::new(Duration::from_millis(1)));
        Self { router: router(client.clone()), client, broker, provider }
    }

    /// A worker, and what ends it when dropped.
    fn worker(&self) -> (oneshot::Sender<()>, JoinHandle<Result<(), WorkerError>>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let told = async {
            let _ = stopped.await;
        };
        let worker = worker(self.broker.amqp_url(), Arc::clone(&self.provider), told).unwrap();
        (stop, tokio::spawn(worker.run()))
    }

    async fn post(&self, path: &str, key: Option<&str>, body: Value) -> (StatusCode, Value) {
        let mut request = Request::post(path).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn until_sent(&self, count: usize) {
        let started = Instant::now();
        while self.provider.count() < count {
            assert!(started.elapsed() < PATIENCE, "{} of {count} were sent", self.provider.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn sms(to: &str) -> Value {
    json!({ "to": to, "text": "hi" })
}

#[tokio::test]
async fn the_service_answers_before_there_is_a_worker_and_the_work_is_done_later() {
    let stage = Stage::new().await;
    for number in 0..10 {
        let (status, body) = stage.post("/sms", None, sms(&format!("+{number}"))).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        assert!(body["task"].is_string(), "{body}");
    }
    assert_eq!(stage.provider.count(), 0);

    let (stop, worker) = stage.worker();
    stage.until_sent(10).await;
    drop(stop);
    worker.await.unwrap().unwrap();
    stage.client.close().await;
    stage.broker.stop().await;
}

#[tokio::test]
async fn a_repeated_request_with_the_same_key_sends_one_message() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let (status, body) = stage.post("/sms", Some("order-991"), sms("+123")).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    }
    let (_stop, _worker) = stage.worker();
    // Behind the three in the queue, so they are done before it.
    let (status, body) = stage.post("/sms/wait", None, sms("+456")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    stage.until_sent(2).await;
    assert_eq!(stage.provider.count(), 2);
}

#[tokio::test]
async fn who_waits_gets_the_receipt_or_the_workers_own_words() {
    let stage = Stage::new().await;
    let (_stop, _worker) = stage.worker();
    let (status, receipt) = stage.post("/sms/wait", None, sms("+123")).await;
    assert_eq!((status, receipt), (StatusCode::OK, json!({ "provider_id": "sms-1" })));

    let (status, problem) = stage.post("/sms/wait", None, sms("nobody")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["title"], "'nobody' is no number");
}
