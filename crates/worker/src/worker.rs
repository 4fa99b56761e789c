//! The worker.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use amqp_wire::ShortString;
use forebay_client::link::{Link, LinkSettings};
use forebay_client::{ConnectError, TaskType, UrlError};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Attempts, Strangers};
use crate::consumer::{Command, Consumer, QUEUES_MAX};
use crate::handlers::{self, Handlers};
use crate::inbox::Inbox;
use crate::{Cx, Fail, Job, Output};

/// Takes tasks off queues and runs their handlers.
///
/// ```no_run
/// # use forebay_worker::{Cx, Fail, TaskType, Worker, signals};
/// # use std::time::Duration;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct SendSms { to: String }
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Receipt { id: String }
/// # impl TaskType for SendSms { const NAME: &str = "sms.send"; const QUEUE: &str = "sms"; type Output = Receipt; }
/// async fn send_sms(job: SendSms, cx: Cx) -> Result<Receipt, Fail> {
///     Ok(Receipt { id: format!("{} to {}", cx.attempt(), job.to) })
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// Worker::connect("amqp://guest:guest@localhost/")?
///     .handle(send_sms)
///     .concurrency(50)
///     .shutdown(signals(), Duration::from_secs(30))
///     .run()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// Every task runs **at least once**: a worker that loses its connection loses its tasks to others, and what its
/// handlers then answer counts for nothing. What a handler tells the broker about a task, its result and what it
/// published through [`Cx`], happens once and together, or not at all. Other systems should be told [`Cx::task_id`] or
/// [`Cx::epoch`]. On queues whose messages are no tasks a repeated attempt repeats all of it.
///
/// A handler that panics has failed its attempt; the worker goes on. The connection, and with it the right to the
/// tasks, lives on a thread of its own: handlers may keep the runtime busy.
#[must_use = "a worker does nothing before `run`"]
pub struct Worker {
    settings: LinkSettings,
    handlers: Handlers,
    concurrency: u16,
    declares: bool,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    grace: Duration,
}

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The broker refuses the connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A queue of this name is there and is no queue of tasks.
    #[error(
        "queue '{queue}' is not the queue of tasks that this worker would declare: {text}; use another, or `declare(false)`"
    )]
    OtherQueue {
        /// The queue.
        queue: String,
        /// The broker's words.
        text: String,
    },
    /// There is nothing to do.
    #[error("the worker has no handlers; add one with `handle`")]
    NoHandlers,
    /// Two handlers want the same tasks.
    #[error("there are two handlers for {name} of queue '{queue}'")]
    DuplicateHandler {
        /// The queue.
        queue: String,
        /// The name of the tasks.
        name: String,
    },
    /// A name is too long for AMQP.
    #[error("the name of queue '{queue}' is longer than 255 bytes")]
    QueueName {
        /// The queue.
        queue: String,
    },
    /// There are too many queues for one connection.
    #[error("a worker consumes at most {QUEUES_MAX} queues, this one wants {queues}; split it")]
    TooManyQueues {
        /// How many it wants.
        queues: usize,
    },
}

/// How long handlers that were cancelled have to notice.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

impl Worker {
    /// A worker for the broker at `amqp://user:password@host:port/vhost`. It connects when it runs, and waits for a
    /// broker that is not there yet.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn connect(url: &str) -> Result<Self, UrlError> {
        let mut settings = LinkSettings::new(url.parse()?, "Forebay worker");
        settings.retries_first_connection = true;
        Ok(Self {
            settings,
            handlers: Handlers::default(),
            concurrency: 10,
            declares: true,
            shutdown: Box::pin(pending()),
            grace: Duration::from_secs(30),
        })
    }

    /// Handles the tasks of one type: those of its name in its queue. What the handler shares with others, its
    /// closure captures.
    ///
    /// A payload that is not of the type fails its task for good, with status 422.
    pub fn handle<T, F, Fut>(mut self, handler: F) -> Self
    where
        T: TaskType,
        F: Fn(T, Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T::Output, Fail>> + Send + 'static,
    {
        self.handlers.add(T::QUEUE, T::NAME, handlers::typed(handler));
        self
    }

    /// As [`Worker::handle`], for a handler that needs something of the program: each call gets a clone of `state`,
    /// an `Arc` or a pool for instance.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use forebay_worker::{Cx, Fail, TaskType, UrlError, Worker};
    /// # struct Gateway;
    /// # impl Gateway { async fn send(&self, to: &str) -> Result<String, std::io::Error> { Ok(to.into()) } }
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct SendSms { to: String }
    /// # impl TaskType for SendSms { const NAME: &str = "sms.send"; const QUEUE: &str = "sms"; type Output = String; }
    /// async fn send_sms(job: SendSms, _cx: Cx, gateway: Arc<Gateway>) -> Result<String, Fail> {
    ///     Ok(gateway.send(&job.to).await?)
    /// }
    ///
    /// # fn example(gateway: Gateway) -> Result<Worker, UrlError> {
    /// Ok(Worker::connect("amqp://localhost/")?.handle_with(Arc::new(gateway), send_sms))
    /// # }
    /// ```
    pub fn handle_with<T, S, F, Fut>(self, state: S, handler: F) -> Self
    where
        T: TaskType,
        S: Clone + Send + Sync + 'static,
        F: Fn(T, Cx, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T::Output, Fail>> + Send + 'static,
    {
        self.handle(move |payload, cx| handler(payload, cx, state.clone()))
    }

    /// As [`Worker::handle`], for a handler that computes or blocks: it runs on a thread for that. Such a handler
    /// cannot be stopped; long ones should look at [`Cx::is_cancelled`].
    pub fn handle_blocking<T, F>(mut self, handler: F) -> Self
    where
        T: TaskType,
        F: Fn(T, Cx) -> Result<T::Output, Fail> + Send + Sync + 'static,
    {
        self.handlers.add(T::QUEUE, T::NAME, handlers::blocking(handler));
        self
    }

    /// Handles whatever comes from a queue and has no handler by its name: payload and result are bytes of any kind.
    pub fn handle_raw<F, Fut>(mut self, queue: &str, handler: F) -> Self
    where
        F: Fn(Job, Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Output, Fail>> + Send + 'static,
    {
        self.handlers.add_any(queue, handlers::raw(handler));
        self
    }

    /// How many handlers run at once; at least 1. Default 10. It is also how many tasks of each queue are fetched
    /// ahead.
    pub fn concurrency(mut self, concurrency: u16) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Whether the worker declares its queues, as durable queues of tasks. Default true, so that a newcomer needs no
    /// setup. Without it the queues may be of any kind; one that is missing is waited for.
    pub fn declare(mut self, declares: bool) -> Self {
        self.declares = declares;
        self
    }

    /// The name that the broker shows for the connection.
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.settings.connection_name = Some(name.into());
        self
    }

    /// The longest heartbeat interval in seconds; the broker may ask for a shorter one. Default 20.
    ///
    /// A worker that vanishes is noticed after two intervals, and its tasks then go to others.
    pub fn heartbeat_s(mut self, heartbeat_s: u16) -> Self {
        self.settings.heartbeat_s = heartbeat_s;
        self
    }

    /// When to end, [`signals`](crate::signals) for instance. The worker then takes no more tasks, waits up to
    /// `grace` for those that run, cancels the rest and gives it back: that does not count as a failed attempt.
    /// Default: never.
    pub fn shutdown(mut self, when: impl Future<Output = ()> + Send + 'static, grace: Duration) -> Self {
        self.shutdown = Box::pin(when);
        self.grace = grace;
        self
    }

    /// Works until it is told to end. Needs a tokio runtime.
    ///
    /// # Errors
    /// When it cannot start, or a queue turns out not to be one of tasks. A connection that breaks is no error: it is
    /// made again.
    pub async fn run(self) -> Result<(), WorkerError> {
        let queues = self.queues()?;
        let (inbox, root) = (Arc::new(Inbox::default()), CancellationToken::new());
        let consumer = Consumer::new(queues, self.declares, self.concurrency, inbox.clone(), &root);
        let (link, mut first) = Link::start(self.settings, consumer)?;
        let attempts = Arc::new(Attempts {
            handlers: self.handlers,
            link: link.clone(),
            strangers: Strangers::default(),
        });
        let mut running = JoinSet::new();
        let mut shutdown = self.shutdown;
        let mut is_connected = false;
        let outcome = loop {
            tokio::select! {
                () = &mut shutdown => break Ok(()),
                outcome = &mut first, if !is_connected => match outcome {
                    Ok(Ok(())) => is_connected = true,
                    Ok(Err(error)) => break Err(error.into()),
                    // Only a link that is told to end says nothing.
                    Err(_) => break Ok(()),
                },
                delivery = inbox.next(), if running.len() < usize::from(self.concurrency) => match delivery {
                    Ok(delivery) => {
                        running.spawn(attempts.clone().run(delivery));
                    }
                    Err(error) => break Err(error),
                },
                Some(_) = running.join_next() => {}
            }
        };
        end(&link, running, &root, self.grace).await;
        outcome
    }

    fn queues(&self) -> Result<Vec<ShortString>, WorkerError> {
        if let Some((queue, name)) = &self.handlers.duplicate {
            return Err(WorkerError::DuplicateHandler { queue: queue.clone(), name: name.clone() });
        }
        let name = |queue: &str| {
            ShortString::try_from(queue).map_err(|_| WorkerError::QueueName { queue: queue.to_owned() })
        };
        let queues: Vec<ShortString> = self.handlers.queues().map(name).collect::<Result<_, _>>()?;
        match queues.len() {
            0 => Err(WorkerError::NoHandlers),
            queues if queues > QUEUES_MAX => Err(WorkerError::TooManyQueues { queues }),
            _ => Ok(queues),
        }
    }
}

/// Ends in order: no more deliveries, the grace, the cancelling, the results that are on their way, the goodbye. What
/// is not settled then, the broker gives to others.
async fn end(link: &Link<Command>, mut running: JoinSet<()>, root: &CancellationToken, grace: Duration) {
    // A link that has ended needs no telling.
    let _ = link.send(Command::Stop).await;
    if timeout(grace, all_done(&mut running)).await.is_err() {
        tracing::warn!(running = running.len(), "the grace is over: cancelling");
        root.cancel();
        let _ = timeout(CANCEL_GRACE, all_done(&mut running)).await;
        running.shutdown().await;
    }
    link.close().await;
}

async fn all_done(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("url", &self.settings.url)
            .field("queues", &self.handlers.queues().collect::<Vec<_>>())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
