//! Group commit: one batch is synced while the next one collects.

use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::broker::Broker;
use super::journal::Journal;

/// Syncs batch after batch; ends only when a sync fails.
pub(super) async fn run(broker: &Broker, mut journal: Journal) -> Result<()> {
    let mut thread = SyncThread::start()?;
    loop {
        broker.batch_started.notified().await;
        loop {
            let Some(batch) = broker.state().begin_sync() else { break };
            journal.fill(batch.bytes);
            if batch.messages == 1 {
                // A lone publisher waits for this one, and nobody would use the time: the hops are saved.
                journal.sync()?;
            } else {
                journal = thread.sync(journal).await?;
            }
            broker.state().end_sync(journal.buffers.drain(..));
        }
    }
}

/// The thread that waits for the disk.
struct SyncThread {
    jobs: mpsc::SyncSender<Journal>,
    done: tokio::sync::mpsc::Receiver<Result<Journal>>,
}

impl SyncThread {
    fn start() -> Result<Self> {
        let (jobs, next_job) = mpsc::sync_channel::<Journal>(1);
        let (report, done) = tokio::sync::mpsc::channel(1);
        thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || {
                for mut journal in next_job {
                    let outcome = journal.sync().map(|()| journal);
                    if report.blocking_send(outcome).is_err() {
                        break;
                    }
                }
            })
            .context("cannot start the thread for syncs")?;
        Ok(Self { jobs, done })
    }

    async fn sync(&mut self, journal: Journal) -> Result<Journal> {
        let gone = || anyhow!("the thread for syncs has ended");
        self.jobs.send(journal).map_err(|_| gone())?;
        self.done.recv().await.ok_or_else(gone)?
    }
}
