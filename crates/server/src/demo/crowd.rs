//! Many callers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Method;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::latency::Latencies;
use super::sms::Sms;
use super::web_service::{Acknowledgement, Order};
use crate::http_client::{Access, Connection, Request};

/// What a request came to, for the one who made it.
#[derive(Clone, Debug)]
pub(super) struct Experience<T> {
    /// From the request to its end.
    pub(super) took: Duration,
    /// The answer, or why there is none.
    pub(super) outcome: Result<T, String>,
}

/// How far a crowd is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Requests that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Requests that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// One more has come to its end.
    pub(super) fn count<T, E>(&self, outcome: &Result<T, E>) {
        let counter = if outcome.is_ok() { &self.answered } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long those who were answered waited.
pub(super) fn latencies<T>(experiences: &[Experience<T>]) -> Latencies {
    experiences.iter().filter(|one| one.outcome.is_ok()).map(|one| one.took).collect()
}

/// A caller's patience.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Callers who send orders to a web service, each over a line of its own, one order after the other. All lines are open
/// before the first order is sent.
pub(super) async fn order(
    service: &Access,
    callers: usize,
    orders_each: usize,
    progress: &Arc<Progress>,
) -> Vec<Experience<String>> {
    let start = Arc::new(Barrier::new(callers));
    let mut crowd = JoinSet::new();
    for caller in 0..callers {
        let (service, start, progress) = (service.clone(), Arc::clone(&start), Arc::clone(progress));
        crowd.spawn(async move {
            let mut connection = Connection::new(service);
            // Whoever cannot connect now finds out again with the first order.
            let _ = connection.open().await;
            start.wait().await;
            let mut experiences = Vec::with_capacity(orders_each);
            for number in 0..orders_each {
                let name = format!("{callers}-{caller}-{number}");
                let experience = one_order(&mut connection, name, Sms::of_caller(caller)).await;
                progress.count(&experience.outcome);
                experiences.push(experience);
            }
            experiences
        });
    }
    crowd.join_all().await.into_iter().flatten().collect()
}

async fn one_order(connection: &mut Connection, order: String, sms: Sms) -> Experience<String> {
    let request = Request::json(Method::POST, "/orders", &Order { order, sms });
    let started = Instant::now();
    let answer = connection.ask(&request, TIMEOUT).await;
    let took = started.elapsed();
    let outcome = match answer {
        Ok(answer) if answer.status.is_success() => {
            answer.json().map(|told: Acknowledgement| told.message).map_err(|error| error.to_string())
        }
        Ok(answer) => Err(answer.problem().to_string()),
        Err(error) => Err(error.to_string()),
    };
    Experience { took, outcome }
}

/// How often the screen is brought up to date.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits for a crowd, and looks at it now and then.
pub(super) async fn watch<T>(crowd: impl Future<Output = T>, mut look: impl AsyncFnMut()) -> T {
    let mut crowd = std::pin::pin!(crowd);
    let mut ticks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            biased;
            outcome = &mut crowd => return outcome,
            _ = ticks.tick() => look().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::provider::Provider;
    use super::super::site::Server;
    use super::super::web_service::{Way, WebService};
    use super::*;
    use crate::http_client::Pool;

    #[tokio::test]
    async fn each_caller_sends_its_orders_and_is_answered() {
        let provider = Server::start(Provider::new()).await.unwrap();
        let service = WebService::new(Way::Provider, Pool::new(provider.access()));
        let service = Server::start(service).await.unwrap();
        let progress = Arc::default();
        let mut looks = 0;
        let crowd = order_all(&service, &progress);
        let experiences = watch(crowd, async || looks += 1).await;
        assert!(looks > 0);
        assert_eq!((experiences.len(), latencies(&experiences).count(), progress.answered()), (10, 10, 10));
        for experience in experiences {
            assert_eq!(provider.site.ledger().calls(&experience.outcome.unwrap()), 1);
        }
    }

    async fn order_all(service: &Server<WebService>, progress: &Arc<Progress>) -> Vec<Experience<String>> {
        order(&service.access(), 5, 2, progress).await
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_fails_everyone() {
        let nowhere = Access::anonymous("127.0.0.1:1");
        let progress = Arc::default();
        let experiences = order(&nowhere, 3, 1, &progress).await;
        assert!(experiences.iter().all(|one| one.outcome.is_err()));
        assert_eq!((latencies(&experiences).count(), progress.failed()), (0, 3));
    }
}
