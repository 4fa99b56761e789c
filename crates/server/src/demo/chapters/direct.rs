//! Chapter 1: the handler calls the provider itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::DemoError;
use super::super::crowd::{self, Experience, Progress, watch};
use super::super::latency::Latencies;
use super::super::provider::{AT_ONCE, TAKES, WAITING_MAX};
use super::super::site::Server;
use super::super::stage::Stage;
use super::super::web_service::{Way, WebService};
use crate::http_client::Pool;

/// So many callers at once, and how they fared.
#[derive(Debug)]
pub(crate) struct Step {
    /// How many there were, each with one order.
    pub(in super::super) callers: usize,
    /// How long those who were answered waited.
    pub(in super::super) answered: Latencies,
    /// Why the others were not, and how many.
    pub(in super::super) failures: BTreeMap<String, usize>,
}

/// Plays it: the crowd grows from step to step.
pub(in super::super) async fn play(stage: &mut Stage) -> Result<Vec<Step>, DemoError> {
    stage.screen.heading("1  The handler calls the provider itself");
    stage.screen.line(&format!(
        "   The provider takes {} ms for a message, {AT_ONCE} at once. {WAITING_MAX} may wait;",
        TAKES.as_millis()
    ));
    stage.screen.line("   who comes then is turned away with 503.");
    let service = WebService::new(Way::Provider, Pool::new(stage.provider.access()));
    let service = Server::start(service).await.map_err(DemoError::system("starting the web service"))?;
    let mut steps = Vec::new();
    for callers in stage.scale.direct_callers {
        let step = play_step(stage, &service, callers).await;
        stage.screen.line(&format!("   {step}"));
        steps.push(step);
    }
    Ok(steps)
}

async fn play_step(stage: &mut Stage, service: &Server<WebService>, callers: usize) -> Step {
    let progress = Arc::new(Progress::default());
    let access = service.access();
    let crowd = crowd::order(&access, callers, 1, &progress);
    let experiences = watch(crowd, async || {
        let (answered, failed) = (progress.answered(), progress.failed());
        stage.screen.status(&format!("   {callers:>4} callers: {answered} answered, {failed} failed"));
    })
    .await;
    Step::new(callers, &experiences)
}

impl Step {
    fn new(callers: usize, experiences: &[Experience<String>]) -> Self {
        let mut failures = BTreeMap::new();
        for reason in experiences.iter().filter_map(|one| one.outcome.as_ref().err()) {
            *failures.entry(reason.clone()).or_default() += 1;
        }
        Self { callers, answered: crowd::latencies(experiences), failures }
    }

    /// How many got an error.
    pub(in super::super) fn failed(&self) -> usize {
        self.failures.values().sum()
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { callers, answered, .. } = self;
        let (half, most) = (answered.shown(50), answered.shown(99));
        write!(formatter, "{callers:>4} callers: {} answered, p50 {half}, p99 {most}", answered.count())?;
        match self.failed() {
            0 => Ok(()),
            failed => write!(formatter, "; {failed} got an error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_step_says_who_failed() {
        let took = Duration::from_millis(20);
        let fine = Experience { took, outcome: Ok("o1".to_owned()) };
        let refused = Experience { took, outcome: Err("503".to_owned()) };
        let step = Step::new(3, &[fine.clone(), refused.clone(), refused]);
        assert_eq!((step.failed(), step.failures["503"]), (2, 2));
        assert_eq!(step.to_string(), "   3 callers: 1 answered, p50 20 ms, p99 20 ms; 2 got an error");
        assert!(!Step::new(1, &[fine]).to_string().contains("error"));
    }
}
