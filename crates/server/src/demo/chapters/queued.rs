//! Chapter 2: the handler puts a task into the queue and answers at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::DemoError;
use super::super::backlog::Backlog;
use super::super::crowd::{self, Experience, Progress, watch};
use super::super::latency::{Latencies, show};
use super::super::provider::Ledger;
use super::super::site::Server;
use super::super::stage::{QUEUE, Stage};
use super::super::web_service::{Way, WebService};
use crate::http_client::Pool;

/// How it went.
#[derive(Debug)]
pub(crate) struct Queued {
    /// How many callers there were.
    pub(in super::super) callers: usize,
    /// How long those who were answered waited.
    pub(in super::super) answered: Latencies,
    /// How many got an error.
    pub(in super::super) failed: usize,
    /// What became of the messages that were accepted.
    pub(in super::super) delivered: Delivered,
    /// The most that waited in the queue at once.
    pub(in super::super) backlog_highest: u64,
    /// From the last answer to a caller until the queue was empty.
    pub(in super::super) drained_in: Duration,
}

/// What the provider's ledger says of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Delivered {
    /// Handed in once.
    pub(in super::super) once: usize,
    /// Handed in more than once, and sent once, because the provider knows their ids.
    pub(in super::super) repeated: usize,
    /// Never handed in.
    pub(in super::super) lost: usize,
}

/// What is not done by then is lost.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Characters of the picture of the backlog.
const PICTURE_WIDTH: usize = 34;

/// Plays it.
pub(in super::super) async fn play(stage: &mut Stage) -> Result<Queued, DemoError> {
    stage.screen.heading("2  The same handler puts it into the queue and answers at once");
    let _workers = stage.start_workers().await?;
    let service = WebService::new(Way::Queue(QUEUE), Pool::new(stage.broker.access()));
    let service = Server::start(service).await.map_err(DemoError::system("starting the web service"))?;
    let mut backlog = Backlog::new(stage.broker.access(), QUEUE);

    let experiences = rush(stage, &service, &mut backlog).await;
    let drained_in = drain(stage, &mut backlog).await;
    let outcome = Queued {
        callers: stage.scale.callers,
        answered: crowd::latencies(&experiences),
        failed: experiences.iter().filter(|one| one.outcome.is_err()).count(),
        delivered: Delivered::count(stage.provider.site.ledger(), accepted(&experiences)),
        backlog_highest: backlog.highest(),
        drained_in,
    };
    stage.screen.line(&format!("   backlog over time: {}", backlog.picture(PICTURE_WIDTH)));
    stage.screen.line(&format!("   {outcome}"));
    Ok(outcome)
}

/// All callers send all their orders.
async fn rush(
    stage: &mut Stage,
    service: &Server<WebService>,
    backlog: &mut Backlog,
) -> Vec<Experience<String>> {
    let progress = Arc::new(Progress::default());
    let access = service.access();
    let crowd = crowd::order(&access, stage.scale.callers, stage.scale.messages_each, &progress);
    watch(crowd, async || {
        let waiting = backlog.look().await.unwrap_or_default();
        let (answered, failed) = (progress.answered(), progress.failed());
        stage.screen.status(&format!("   {answered} answered, {failed} failed; {waiting} in the queue"));
    })
    .await
}

/// Waits until the queue is empty.
async fn drain(stage: &mut Stage, backlog: &mut Backlog) -> Duration {
    let started = Instant::now();
    while started.elapsed() < DRAIN_TIMEOUT {
        match backlog.look().await {
            Some(0) => break,
            Some(waiting) => {
                let picture = backlog.picture(PICTURE_WIDTH);
                stage
                    .screen
                    .status(&format!("   all callers are gone; {waiting:>5} in the queue  {picture}"));
            }
            None => {}
        }
        sleep(LOOK_EVERY).await;
    }
    started.elapsed()
}

/// The ids under which the accepted messages go to the provider.
fn accepted(experiences: &[Experience<String>]) -> impl Iterator<Item = &str> {
    experiences.iter().filter_map(|one| one.outcome.as_deref().ok())
}

impl Delivered {
    /// Looks the messages up.
    pub(super) fn count<'a>(ledger: &Ledger, messages: impl Iterator<Item = &'a str>) -> Self {
        let mut delivered = Self::default();
        for message in messages {
            let count = match ledger.calls(message) {
                0 => &mut delivered.lost,
                1 => &mut delivered.once,
                _ => &mut delivered.repeated,
            };
            *count += 1;
        }
        delivered
    }
}

impl std::fmt::Display for Queued {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Delivered { once, repeated, lost } = self.delivered;
        let (half, most, drained) = (self.answered.shown(50), self.answered.shown(99), show(self.drained_in));
        write!(
            formatter,
            "{:>4} callers: {} answered, p50 {half}, p99 {most}",
            self.callers,
            self.answered.count()
        )?;
        write!(
            formatter,
            "\n   queue empty {drained} later; at the provider: {once} once, {repeated} repeated, {lost} lost"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::provider::Provider;
    use super::*;

    #[test]
    fn messages_that_the_provider_does_not_know_are_lost() {
        let provider = Provider::new();
        for message in ["a", "b", "b", "other"] {
            provider.ledger().add(message);
        }
        let delivered = Delivered::count(provider.ledger(), ["a", "b", "c"].into_iter());
        assert_eq!(delivered, Delivered { once: 1, repeated: 1, lost: 1 });
    }
}
