//! The worker: calls the provider, in its own time.

use std::sync::Arc;
use std::time::Duration;

use forebay_worker::{Cx, Fail, UrlError, Worker};

use crate::provider::{Provider, Refusal};
use crate::sms::{Receipt, SendSms};

/// How many calls the provider allows at once.
const CONCURRENCY: u16 = 4;

/// How long running tasks may take to end when the worker is told to.
const GRACE: Duration = Duration::from_secs(10);

/// A worker for the broker at `url`, which runs until `stop` is done.
///
/// # Errors
/// When the address cannot be understood.
pub fn worker(
    url: &str,
    provider: Arc<Provider>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<Worker, UrlError> {
    Ok(Worker::connect(url)?.handle_with(provider, send_sms).concurrency(CONCURRENCY).shutdown(stop, GRACE))
}

async fn send_sms(sms: SendSms, cx: Cx, provider: Arc<Provider>) -> Result<Receipt, Fail> {
    // The same in every attempt, so that the provider knows a repetition.
    let key = cx.task_id().map(|id| id.to_string()).unwrap_or_default();
    provider.send(&key, &sms).await.map_err(|refusal| match refusal {
        Refusal::NoSuchNumber(number) => Fail::fatal(format!("'{number}' is no number")).status(422),
    })
}
