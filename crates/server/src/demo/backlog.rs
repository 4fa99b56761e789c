//! How much waits in the queue, as the broker counts it.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;

use crate::http_client::{Access, Pool, Request, paths};

/// Looks at a queue again and again, and remembers.
#[derive(Debug)]
pub(super) struct Backlog {
    lines: Pool,
    request: Request,
    samples: Vec<u64>,
}

#[derive(Deserialize)]
struct Queue {
    ready: u64,
    running: u64,
    #[serde(default)]
    scheduled: u64,
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Backlog {
    pub(super) fn new(broker: Access, queue: &str) -> Self {
        Self {
            lines: Pool::new(broker),
            request: Request::new(Method::GET, paths::queue(queue)),
            samples: Vec::new(),
        }
    }

    /// How many tasks are not done; none when the broker does not say.
    pub(super) async fn look(&mut self) -> Option<u64> {
        let answer = self.lines.ask(&self.request, ANSWER_TIMEOUT).await.ok()?;
        let Queue { ready, running, scheduled } = answer.json().ok()?;
        let backlog = ready + running + scheduled;
        self.samples.push(backlog);
        Some(backlog)
    }

    /// The most that was seen.
    pub(super) fn highest(&self) -> u64 {
        self.samples.iter().copied().max().unwrap_or(0)
    }

    /// A picture of what was seen, of at most so many characters.
    pub(super) fn picture(&self, width: usize) -> String {
        let Some(highest) = self.samples.iter().copied().max().filter(|highest| *highest > 0) else {
            return String::new();
        };
        let each = self.samples.len().div_ceil(width).max(1);
        let bar = |samples: &[u64]| {
            let most = samples.iter().copied().max().unwrap_or(0);
            BARS[(most * (BARS.len() as u64 - 1)).div_ceil(highest) as usize]
        };
        self.samples.chunks(each).map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http_client::stub::{Reaction, Stub, json};

    fn queue(ready: u64, running: u64) -> Reaction {
        json(200, &json!({"name": "q", "ready": ready, "running": running, "scheduled": 0}))
    }

    #[tokio::test]
    async fn what_waits_and_what_runs_is_the_backlog() {
        let broker = Stub::script(vec![queue(0, 0), queue(60, 10), Reaction::Hangup, queue(0, 1)]).await;
        let mut backlog = Backlog::new(broker.access(), "q");
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(backlog.look().await);
        }
        assert_eq!(seen, [Some(0), Some(70), None, Some(1)]);
        assert_eq!((backlog.highest(), backlog.picture(40).as_str()), (70, "▁█▂"));
        assert_eq!(backlog.picture(2), "█▂");
    }
}
