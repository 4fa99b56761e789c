//! Chapter 3: callers wait for the answer on their own line, while a worker and the broker are killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::DemoError;
use super::super::crowd::{self, Experience, Progress, watch};
use super::super::latency::{Latencies, show};
use super::super::sms::{Receipt, Sms};
use super::super::stage::{QUEUE, Stage};
use super::queued::Delivered;
use crate::http_client::{Access, Call, Connection, Ending, Trouble};
use crate::randomness::random;

/// How it went.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// How many callers there were, each with one call.
    pub(in super::super) callers: usize,
    /// How long those who got their own answer waited.
    pub(in super::super) answered: Latencies,
    /// What the others got instead.
    pub(in super::super) wrong: Vec<String>,
    /// Requests that callers repeated because the line had broken.
    pub(in super::super) repeated_requests: u64,
    /// What the provider's ledger says of the messages that were answered.
    pub(in super::super) delivered: Delivered,
    /// From the broker's end to its being ready again.
    pub(in super::super) broker_away: Duration,
}

/// How long a caller waits, broken lines included.
const PATIENCE: Duration = Duration::from_secs(20);
/// When so many of a hundred callers have their answer, a worker is killed, ...
const WORKER_DIES_AT_PERCENT: u64 = 20;
/// ... and then the broker, ...
const BROKER_DIES_AT_PERCENT: u64 = 40;
/// ... which stays away for so long.
const BROKER_AWAY: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What callers and the one who kills share.
#[derive(Debug, Default)]
struct Shared {
    progress: Progress,
    repeated_requests: AtomicU64,
}

/// Plays it.
pub(in super::super) async fn play(stage: &mut Stage) -> Result<Waiting, DemoError> {
    stage
        .screen
        .heading("3  Callers wait for the answer on their own line; a worker and the broker are killed");
    let mut workers = stage.start_workers().await?;
    let shared = Arc::new(Shared::default());
    let callers = stage.scale.callers;
    let crowd = tokio::spawn(call_all(stage.broker.access(), callers, Arc::clone(&shared)));

    look_on(stage, &shared, callers, WORKER_DIES_AT_PERCENT).await;
    workers.remove(0).kill();
    stage.screen.line(&format!("   {} answered: a worker was killed", shared.progress.answered()));

    look_on(stage, &shared, callers, BROKER_DIES_AT_PERCENT).await;
    stage.broker.kill();
    let killed = Instant::now();
    stage.screen.line(&format!("   {} answered: the broker was killed", shared.progress.answered()));
    sleep(BROKER_AWAY).await;
    stage.broker.restart().await?;
    let broker_away = killed.elapsed();
    workers.push(stage.worker_processes().start()?);
    stage
        .screen
        .line(&format!("   the broker is back after {}, and a new worker with it", show(broker_away)));

    let experiences = watch(crowd, async || show_progress(stage, &shared, callers)).await;
    let experiences = experiences.expect("callers do not panic");
    let outcome =
        Waiting::new(stage, &experiences, shared.repeated_requests.load(Ordering::Relaxed), broker_away);
    stage.screen.line(&format!("   {outcome}"));
    Ok(outcome)
}

/// Waits until so many of a hundred callers have come to an end.
async fn look_on(stage: &mut Stage, shared: &Shared, callers: usize, percent: u64) {
    let ended = || shared.progress.answered() + shared.progress.failed();
    let enough = async {
        while ended() * 100 < callers as u64 * percent {
            sleep(LOOK_EVERY).await;
        }
    };
    watch(enough, async || show_progress(stage, shared, callers)).await;
}

fn show_progress(stage: &mut Stage, shared: &Shared, callers: usize) {
    let (answered, failed) = (shared.progress.answered(), shared.progress.failed());
    let repeated = shared.repeated_requests.load(Ordering::Relaxed);
    let waiting = (callers as u64).saturating_sub(answered + failed);
    stage.screen.status(&format!(
        "   {waiting} wait, {answered} answered, {failed} failed; {repeated} requests repeated"
    ));
}

async fn call_all(broker: Access, callers: usize, shared: Arc<Shared>) -> Vec<Experience<String>> {
    let start = Arc::new(Barrier::new(callers));
    let mut crowd = JoinSet::new();
    for caller in 0..callers {
        let (broker, start, shared) = (broker.clone(), Arc::clone(&start), Arc::clone(&shared));
        crowd.spawn(async move {
            let mut connection = Connection::new(broker);
            // Whoever cannot connect now finds out again with the call.
            let _ = connection.open().await;
            start.wait().await;
            let experience = one_call(&mut connection, caller, &shared).await;
            shared.progress.count(&experience.outcome);
            experience
        });
    }
    crowd.join_all().await
}

async fn one_call(connection: &mut Connection, caller: usize, shared: &Shared) -> Experience<String> {
    let sms = Sms::of_caller(caller);
    let call = call(&sms);
    let started = Instant::now();
    let ending = call.make(connection, |trouble| {
        if let Trouble::NoAnswer(_) = trouble {
            shared.repeated_requests.fetch_add(1, Ordering::Relaxed);
        }
    });
    let outcome = own_receipt(ending.await, &sms);
    Experience { took: started.elapsed(), outcome }
}

fn call(sms: &Sms) -> Call {
    let key = format!("{:016x}{:016x}", random(), random());
    Call {
        queue: QUEUE.to_owned(),
        name: Some(HeaderValue::from_static("sms.send")),
        content_type: HeaderValue::from_static("application/json"),
        body: serde_json::to_vec(sms).expect("a message has text for keys").into(),
        key: HeaderValue::try_from(key).expect("digits are visible ASCII"),
        wait: PATIENCE,
    }
}

/// The id under which the message was sent, if the answer is the one to this caller.
fn own_receipt(ending: Ending, sms: &Sms) -> Result<String, String> {
    let answer = match ending {
        Ending::Succeeded(answer) => answer,
        Ending::Failed(problem) | Ending::Refused(problem) => return Err(problem.to_string()),
        Ending::Late { .. } => return Err("not done in time".to_owned()),
        Ending::Unanswered(error) => return Err(error.to_string()),
    };
    match answer.json::<Receipt>() {
        Ok(receipt) if receipt.to == sms.to => Ok(receipt.message),
        Ok(receipt) => Err(format!("the receipt of {} came to {}", receipt.to, sms.to)),
        Err(error) => Err(format!("what came is no receipt: {error}")),
    }
}

impl Waiting {
    fn new(
        stage: &Stage,
        experiences: &[Experience<String>],
        repeated_requests: u64,
        broker_away: Duration,
    ) -> Self {
        let own = experiences.iter().filter_map(|one| one.outcome.as_deref().ok());
        let wrong = experiences.iter().filter_map(|one| one.outcome.clone().err());
        Self {
            callers: experiences.len(),
            answered: crowd::latencies(experiences),
            wrong: wrong.collect(),
            repeated_requests,
            delivered: Delivered::count(stage.provider.site.ledger(), own),
            broker_away,
        }
    }
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (half, most) = (self.answered.shown(50), self.answered.shown(99));
        let (answered, wrong) = (self.answered.count(), self.wrong.len());
        write!(
            formatter,
            "{:>4} callers: {answered} got their own answer, p50 {half}, p99 {most}; {wrong} did not",
            self.callers
        )
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::http_client::Answer;

    fn receipt(to: &str) -> Ending {
        let receipt = Receipt { message: "t1".to_owned(), to: to.to_owned() };
        let body = serde_json::to_vec(&receipt).unwrap().into();
        Ending::Succeeded(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body })
    }

    #[test]
    fn only_the_own_answer_counts() {
        let sms = Sms::of_caller(7);
        assert_eq!(own_receipt(receipt("+1555000007"), &sms), Ok("t1".to_owned()));
        assert!(own_receipt(receipt("+1555000008"), &sms).unwrap_err().contains("+1555000008 came to"));
        assert!(own_receipt(Ending::Late { task: "t1".to_owned() }, &sms).is_err());
        let empty = Answer { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: "".into() };
        assert!(own_receipt(Ending::Succeeded(empty), &sms).is_err());
    }
}
