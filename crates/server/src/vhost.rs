//! A virtual host: an engine, the lock around it, and what wakes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use broker::{Command, ConnectionId, Timestamp};
use engine::{CheckpointDone, CheckpointError, CheckpointJob, Engine, Health, LoadJob, Pins, StorageRoom};
use tokio::sync::Notify;

use crate::background;
use crate::clock;
use crate::lifecycle::Lifecycle;

/// One virtual host, shared by its connections, the journal's thread and the timer.
///
/// Everyone comes in by [`VirtualHost::with`]. The journal's thread alone does not wait for the lock: it
/// leaves a note, and whoever holds the lock looks for the note when leaving. So a busy engine never delays
/// the next sync, and an engine that waits for its journal (as in closing) cannot be waited for by it.
pub(crate) struct VirtualHost {
    name: String,
    /// Where its data is, in words.
    place: String,
    engine: Mutex<Engine>,
    /// The storage was low when it was last looked at.
    storage_is_low: AtomicBool,
    /// The journal has news, and nobody has looked at them yet.
    pump_wanted: AtomicBool,
    /// What the timer sleeps towards, in milliseconds; `u64::MAX` when it sleeps without end.
    alarm_ms: AtomicU64,
    /// The alarm was set to an earlier time.
    alarm_moved: Notify,
    /// A checkpoint to be written.
    checkpoint_job: Mutex<Option<CheckpointJob>>,
    checkpoint_wanted: Notify,
    /// What has become of it.
    checkpoint_done: Mutex<Option<Result<CheckpointDone, CheckpointError>>>,
    /// State to be read.
    load_job: Mutex<Option<LoadJob>>,
    load_wanted: Notify,
    /// Held while a checkpoint is written: the last one, in closing, comes after all others.
    checkpointing: Mutex<()>,
    /// Held by the one who finds out what holds the journal's files.
    pins_asked: tokio::sync::Mutex<()>,
    lifecycle: Arc<Lifecycle>,
}

/// How long a closing virtual host waits for a full disk without seeing anything become durable.
const STUCK_MAX: Duration = Duration::from_secs(5);

/// What became of a batch of commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Submitted {
    /// The connection may publish on.
    pub(crate) has_credit: bool,
    /// The thread was held up by a sync: others on it have waited.
    pub(crate) held_thread: bool,
}

impl VirtualHost {
    /// Puts an opened engine to work. `place` says where its data is.
    #[must_use]
    pub(crate) fn new(name: &str, place: &str, engine: Engine, lifecycle: Arc<Lifecycle>) -> Arc<Self> {
        let host = Arc::new(Self {
            name: name.to_owned(),
            place: place.to_owned(),
            storage_is_low: AtomicBool::new(false),
            engine: Mutex::new(engine),
            pump_wanted: AtomicBool::new(false),
            alarm_ms: AtomicU64::new(u64::MAX),
            alarm_moved: Notify::new(),
            checkpoint_job: Mutex::new(None),
            checkpoint_wanted: Notify::new(),
            checkpoint_done: Mutex::new(None),
            load_job: Mutex::new(None),
            load_wanted: Notify::new(),
            checkpointing: Mutex::new(()),
            pins_asked: tokio::sync::Mutex::new(()),
            lifecycle,
        });
        // Weak: the engine owns the journal's writer, which owns this closure.
        let weak = Arc::downgrade(&host);
        host.with(|engine, _now| {
            engine.watch(Arc::new(move || {
                if let Some(host) = weak.upgrade() {
                    host.journal_moved();
                }
            }));
        });
        // What the journal did before it was watched.
        host.journal_moved();
        host
    }

    /// Its name, as clients ask for it.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Works with the engine, alone. `act` must not wait for anything; it gets the time, which does not run
    /// backwards from one call to the next.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Engine, Timestamp) -> R) -> R {
        self.visit(act).0
    }

    /// Whether its publishes are refused because the disk is full.
    pub(crate) fn storage_is_low(&self) -> bool {
        self.storage_is_low.load(Ordering::Relaxed)
    }

    /// Submits a batch of a connection's commands.
    pub(crate) fn submit(&self, connection: ConnectionId, commands: &mut Vec<Command>) -> Submitted {
        let (has_credit, held_thread) = self.visit(|engine, now| {
            engine.submit(now, commands);
            engine.publish_credit(connection)
        });
        Submitted { has_credit, held_thread }
    }

    /// Works with the engine, then does what it leaves behind. The second is true if that was a sync.
    fn visit<R>(&self, act: impl FnOnce(&mut Engine, Timestamp) -> R) -> (R, bool) {
        let (result, helper) = {
            let mut engine = self.lock();
            let result = act(&mut engine, clock::now());
            self.look_after(&mut engine);
            (result, engine.take_helper())
        };
        if let Some(helper) = &helper {
            // Holds this thread up for one sync, and only while syncs are quick: two hops between threads would
            // take as long.
            helper.help();
        }
        self.pump_if_wanted();
        (result, helper.is_some())
    }

    /// Gives the engine its time, for ever.
    pub(crate) async fn keep_time(&self) {
        loop {
            let moved = self.alarm_moved.notified();
            let alarm_ms = self.alarm_ms.load(Ordering::SeqCst);
            if alarm_ms == u64::MAX {
                moved.await;
                continue;
            }
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(clock::instant(Timestamp(alarm_ms)).into()) => {
                    self.alarm_ms.store(u64::MAX, Ordering::SeqCst);
                    self.with(|engine, now| engine.tick(now));
                }
            }
        }
    }

    /// Writes the engine's checkpoints, for ever, where that holds nobody up.
    pub(crate) async fn keep_checkpoints(self: Arc<Self>) {
        loop {
            self.checkpoint_wanted.notified().await;
            let host = Arc::clone(&self);
            if let Err(source) = background::run(move || host.write_checkpoint()).await {
                // The last checkpoint is still good. The engine has to know, or it waits for this one for ever and the
                // journal only grows.
                tracing::error!(vhost = self.name, error = %source, "a checkpoint was not written; please report it");
                let error = CheckpointError { file: "of this moment".to_owned(), source };
                self.with(|engine, _now| engine.checkpoint_done(Err(error)));
            }
            self.hand_in_checkpoint();
        }
    }

    /// Reads the state that the engine wants, for ever, where that holds nobody up.
    pub(crate) async fn keep_loads(self: Arc<Self>) {
        loop {
            self.load_wanted.notified().await;
            let host = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || host.load()).await.is_err() {
                // Whoever waits for it would wait for ever.
                let name = &self.name;
                self.lifecycle
                    .fail(&format!("virtual host '{name}': reading its state panicked; please report it"));
            }
        }
    }

    fn load(&self) {
        let job = lock(&self.load_job).take();
        if let Some(job) = job {
            let done = job.run();
            self.with(|engine, now| engine.load_done(now, done));
        }
    }

    /// On a thread that gives way to others, so without the engine.
    fn write_checkpoint(&self) {
        let _alone = lock(&self.checkpointing);
        let job = lock(&self.checkpoint_job).take();
        if let Some(job) = job {
            let outcome = job.run();
            *lock(&self.checkpoint_done) = Some(outcome);
        }
    }

    /// Tells the engine what has become of its checkpoint. When this returns, it knows, whoever has told it.
    fn hand_in_checkpoint(&self) {
        let mut done = lock(&self.checkpoint_done);
        if let Some(outcome) = done.take() {
            self.with(|engine, _now| engine.checkpoint_done(outcome));
        }
    }

    /// What holds the journal's old files. Whoever asks meanwhile waits for its turn.
    ///
    /// # Errors
    /// Why nobody can tell.
    pub(crate) async fn find_pins(self: Arc<Self>) -> Result<Pins, String> {
        let _turn = self.pins_asked.lock().await;
        let host = Arc::clone(&self);
        let found = tokio::task::spawn_blocking(move || {
            // A checkpoint may take files away that are read here.
            let _alone = lock(&host.checkpointing);
            // What the last one has removed, the engine may not know yet.
            host.hand_in_checkpoint();
            let job = host.with(|engine, _now| engine.pins_job());
            let job = job.ok_or(
                "there is no checkpoint yet; the first is written when a segment of the journal is full",
            )?;
            let found =
                job.run().map_err(|error| format!("the newest checkpoint cannot be read: {error}"))?;
            Ok(host.with(|engine, _now| engine.pins(found)))
        });
        found
            .await
            .unwrap_or_else(|panic| Err(format!("looking for it panicked ({panic}); please report it")))
    }

    /// Ends the engine: waits until all is on disk, and writes a last checkpoint. Blocks.
    ///
    /// # Errors
    /// Why the next start has to do without something; what was confirmed is safe nonetheless.
    pub(crate) fn close(&self) -> Result<(), String> {
        let _alone = lock(&self.checkpointing);
        self.hand_in_checkpoint();
        // It would be older than the one that comes now.
        lock(&self.checkpoint_job).take();
        self.with(|engine, now| engine.drain(now));
        let (mut durable_lsn, mut moved) = (0, Instant::now());
        while !self.with(|engine, _now| engine.is_drained()) {
            std::thread::sleep(Duration::from_millis(1));
            if !self.with(|engine, _now| engine.storage_room().is_low) {
                continue;
            }
            let counts = self.with(|engine, _now| engine.counts());
            if counts.durable_lsn != durable_lsn {
                (durable_lsn, moved) = (counts.durable_lsn, Instant::now());
            }
            if moved.elapsed() > STUCK_MAX {
                return Err(format!(
                    "the disk of {} is full: what was not confirmed could not be written. What was confirmed is safe; \
                     free some space, then start again",
                    self.place
                ));
            }
        }
        self.with(|engine, now| match (engine.close(now), engine.health()) {
            (_, Health::Failed { reason }) => Err(reason),
            (Err(error), Health::Serving) => Err(error.to_string()),
            (Ok(()), Health::Serving) => Ok(()),
        })
    }

    /// Called by the journal on its own thread.
    fn journal_moved(&self) {
        self.pump_wanted.store(true, Ordering::Relaxed);
        // With its twin below: either this thread gets the lock, or the holder sees the note after letting go.
        fence(Ordering::SeqCst);
        self.pump_if_wanted();
    }

    fn pump_if_wanted(&self) {
        fence(Ordering::SeqCst);
        while self.pump_wanted.load(Ordering::Relaxed) {
            let mut engine = match self.engine.try_lock() {
                Ok(engine) => engine,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.pump_wanted.store(false, Ordering::Relaxed);
            engine.pump(clock::now());
            self.look_after(&mut engine);
            drop(engine);
            fence(Ordering::SeqCst);
        }
    }

    /// What an engine may want after every visit.
    fn look_after(&self, engine: &mut Engine) {
        if let Some(job) = engine.take_checkpoint_job() {
            *lock(&self.checkpoint_job) = Some(job);
            self.checkpoint_wanted.notify_one();
        }
        if let Some(job) = engine.take_load_job() {
            *lock(&self.load_job) = Some(job);
            self.load_wanted.notify_one();
        }
        if let Health::Failed { reason } = engine.health() {
            self.lifecycle.fail(&format!("virtual host '{}': {reason}", self.name));
        }
        let room = engine.storage_room();
        if self.storage_is_low.load(Ordering::Relaxed) != room.is_low {
            self.storage_is_low.store(room.is_low, Ordering::Relaxed);
            self.tell_of_room(room);
        }
        let Some(Timestamp(deadline_ms)) = engine.next_deadline() else { return };
        // A later deadline than the alarm's needs nothing: the timer finds nothing due and sets itself anew.
        if self.alarm_ms.fetch_min(deadline_ms, Ordering::SeqCst) > deadline_ms {
            self.alarm_moved.notify_one();
        }
    }

    fn tell_of_room(&self, room: StorageRoom) {
        let (vhost, data) = (&self.name, &self.place);
        let StorageRoom { is_low, room_bytes, reserve_bytes } = room;
        if is_low {
            tracing::warn!(
                vhost,
                data,
                room_bytes,
                reserve_bytes,
                "the disk is full but for the reserve: publishes are refused, while acknowledging, deleting and consuming go \
                 on. Publishing goes on by itself when messages are acknowledged or space is freed on the disk"
            );
        } else {
            tracing::info!(
                vhost,
                data,
                room_bytes,
                reserve_bytes,
                "the disk has room again: publishes are taken"
            );
        }
    }

    /// A panic inside the engine leaves it in doubt, so the server ends: what clients were told is in the journal.
    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            self.lifecycle
                .fail(&format!("virtual host '{}': the engine panicked; please report it", self.name));
            poisoned.into_inner()
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for VirtualHost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VirtualHost").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use broker::{Command, DeclareQueue, Envelope, Operation, Publish, RequestTag, SessionId};
    use journal::storage::{MemoryStorage, Storage, StorageFile};
    use journal::{FileJournal, FileOptions, LogName};

    use super::*;

    /// A disk on which the first run of a checkpoint meets a mistake of ours.
    #[derive(Default)]
    struct PanickingStorage {
        storage: MemoryStorage,
        has_panicked: AtomicBool,
    }

    impl Storage for PanickingStorage {
        fn create(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
            let is_run = path.contains("rows-");
            assert!(!is_run || self.has_panicked.swap(true, Ordering::SeqCst), "as the test wants it");
            self.storage.create(path)
        }
        fn open(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
            self.storage.open(path)
        }
        fn exists(&self, path: &str) -> io::Result<bool> {
            self.storage.exists(path)
        }
        fn list(&self, directory: &str) -> io::Result<Vec<String>> {
            self.storage.list(directory)
        }
        fn create_directory(&self, path: &str) -> io::Result<()> {
            self.storage.create_directory(path)
        }
        fn remove_directory(&self, path: &str) -> io::Result<()> {
            self.storage.remove_directory(path)
        }
        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.storage.rename(from, to)
        }
        fn remove(&self, path: &str) -> io::Result<()> {
            self.storage.remove(path)
        }
        fn sync_directory(&self, path: &str) -> io::Result<()> {
            self.storage.sync_directory(path)
        }
    }

    struct Deaf;

    impl engine::Outlet for Deaf {
        fn push(&self, effects: &mut Vec<engine::Released>) {
            effects.clear();
        }
    }

    fn small_host(storage: Arc<PanickingStorage>) -> Arc<VirtualHost> {
        let options =
            FileOptions { segment_bytes_first: 16 << 10, segment_bytes_max: 16 << 10, ..FileOptions::new(1) };
        let journal = FileJournal::new(Arc::new(MemoryStorage::new()), options);
        let log = LogName::new("vhost").unwrap();
        let engine =
            Engine::open(engine::Settings::default(), &journal, &log, storage, clock::now()).unwrap();
        VirtualHost::new("vhost", "memory", engine, Arc::new(Lifecycle::new()))
    }

    fn submit(host: &VirtualHost, operation: Operation) {
        let session = SessionId { connection: ConnectionId(1), channel: 1 };
        let command = Command::Session { session, request: RequestTag(1), operation };
        host.submit(session.connection, &mut vec![command]);
    }

    fn publish(queue: &[u8]) -> Operation {
        let envelope = Envelope::new(b"", queue, b"", &[b'.'; 4000]);
        Operation::Publish(Publish { envelope, mandatory: false, persistent: true, headers: None })
    }

    #[tokio::test]
    async fn a_checkpoint_that_panics_is_not_the_last() {
        let storage = Arc::new(PanickingStorage::default());
        let host = small_host(Arc::clone(&storage));
        let writing = tokio::spawn(Arc::clone(&host).keep_checkpoints());
        host.with(|engine, now| {
            engine.connect(now, ConnectionId(1), field_table::ShortString::default(), Arc::new(Deaf))
        });
        submit(&host, Operation::OpenSession);
        submit(
            &host,
            Operation::DeclareQueue(DeclareQueue {
                name: field_table::ShortString::try_from(b"q".as_slice()).unwrap(),
                generated: false,
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                arguments: Default::default(),
            }),
        );
        let started = Instant::now();
        while host.with(|engine, _now| engine.counts().checkpoints) == 0 {
            assert!(started.elapsed() < Duration::from_secs(20), "no further checkpoint is written");
            submit(&host, publish(b"q"));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(storage.has_panicked.load(Ordering::SeqCst));
        writing.abort();
    }
}
