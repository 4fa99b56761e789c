//! The client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::budget::Budget;
use crate::calls::Calls;
use crate::declares::Declare;
use crate::link::{Link, LinkSettings};
use crate::message::short_string;
use crate::producer::{Command, Producer, Waiter};
use crate::{
    Call, CallError, CallRaw, ConnectError, Message, PublishError, Reply, Send, Task, TaskId, TaskType,
};

/// A connection to the broker, for publishing messages, sending tasks and calling workers.
///
/// Cheap to clone; clones share the connection. Publishes are pipelined: start many at once (`join_all`, tasks) and
/// each is done when the broker has it on disk. At most [`ClientBuilder::in_flight_max`] are under way, further ones
/// wait.
///
/// **When the connection breaks**, the client connects again, with growing waits in between, for as long as it lives.
/// What was not confirmed is sent again, in its order. So publishing is *at least once*: a message whose confirm was
/// lost is stored twice, unless it is a task with an [idempotency key](Task::idempotency_key). Calls that wait are
/// sent again with the key of the first time: on a queue of tasks they join the running task; on a plain queue the
/// worker may see them twice. Nothing fails because the broker is away: bound the wait with `tokio::time::timeout`
/// where that matters.
///
/// The connection lives on a thread of its own, so that heartbeats go on whatever the program does. The client ends
/// when its last clone is dropped, in the background; [`Client::close`] waits for it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use forebay_client::{Client, Message};
///
/// let client = Client::connect("amqp://guest:guest@localhost/").await?;
/// client.publish("amq.topic", "orders.new", Message::new("42").optional()).await?;
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    link: Link<Command>,
    calls: Arc<Calls>,
    publish_budget: Budget,
    call_budget: Budget,
}

/// What can be chosen about a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    connection_name: Option<String>,
    heartbeat_s: u16,
    in_flight_max: usize,
    in_flight_bytes_max: usize,
    calls_max: usize,
    close_timeout: Duration,
}

impl Client {
    /// Connects to `amqp://user:password@host:port/vhost`.
    ///
    /// # Errors
    /// When the first connection cannot be had. Later ones are tried for ever.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder().connect(url).await
    }

    /// For another choice than the defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            connection_name: None,
            heartbeat_s: 20,
            in_flight_max: 1024,
            in_flight_bytes_max: 64 << 20,
            calls_max: 4096,
            close_timeout: Duration::from_secs(10),
        }
    }

    /// Publishes a message and waits until the broker has confirmed it.
    ///
    /// The default exchange is `""`, with the queue's name as the routing key.
    ///
    /// # Errors
    /// When it reaches no queue (unless [optional](Message::optional)), or the broker does not take it.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        message: Message,
    ) -> Result<(), PublishError> {
        let publication = Arc::new(message.into_publication(exchange, routing_key)?);
        let share = self.publish_budget.take(publication.bytes()).await;
        let (done, outcome) = oneshot::channel();
        let waiter = Waiter { done, share };
        self.link.send(Command::Publish { publication, waiter }).await?;
        outcome.await.unwrap_or(Err(PublishError::Closed))
    }

    /// Sends a task to the queue of its type.
    ///
    /// Returns its id. A task whose idempotency key the queue knows is not stored again, and then the returned id is
    /// not that of the first one.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use forebay_client::{Client, TaskType};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct SendSms { to: String, text: String }
    /// # impl TaskType for SendSms { const NAME: &str = "sms.send"; const QUEUE: &str = "sms"; type Output = String; }
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let sms = SendSms { to: "+123".into(), text: "hi".into() };
    /// let id = client.send(sms).delay(Duration::from_secs(300)).max_attempts(5).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send<T: TaskType>(&self, payload: T) -> Send<'_> {
        Send::new(self, T::QUEUE, Task::new(T::NAME, &payload))
    }

    /// Sends a task to any queue. It is durable when this returns.
    ///
    /// # Errors
    /// As [`Client::publish`]; a queue that does not exist is [`PublishError::Unroutable`].
    pub async fn send_to(&self, queue: &str, task: Task) -> Result<TaskId, PublishError> {
        let id = TaskId::fresh();
        self.publish("", queue, task.into_message(id)).await?;
        Ok(id)
    }

    /// Sends a task to the queue of its type and waits for the result.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use forebay_client::{CallError, Client, TaskType};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct SendSms { to: String, text: String }
    /// # impl TaskType for SendSms { const NAME: &str = "sms.send"; const QUEUE: &str = "sms"; type Output = String; }
    /// # async fn example(client: Client) -> Result<(), CallError> {
    /// let sms = SendSms { to: "+123".into(), text: "hi".into() };
    /// match client.call(sms).timeout(Duration::from_secs(5)).await {
    ///     Ok(receipt) => println!("sent: {receipt}"),
    ///     Err(CallError::Late { task_id, .. }) => println!("still at it: {task_id}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<T: TaskType>(&self, payload: T) -> Call<'_, T> {
        Call::new(self, &payload)
    }

    /// Sends a task to any queue and waits for the result, whatever it is.
    ///
    /// ```no_run
    /// # use forebay_client::{CallError, Client, Task};
    /// # async fn example(client: Client, page: String) -> Result<(), CallError> {
    /// let reply = client.call_raw("render", Task::raw("text/html", page)).await?;
    /// assert_eq!(reply.content_type.as_deref(), Some("image/png"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_raw(&self, queue: impl Into<String>, task: Task) -> CallRaw<'_> {
        CallRaw::new(self, queue.into(), task)
    }

    /// Makes sure that there is a durable queue of this name whose messages are tasks.
    ///
    /// # Errors
    /// When there is one of this name that is different (406), or the user may not declare it (403).
    pub async fn declare_task_queue(&self, queue: &str) -> Result<(), PublishError> {
        self.declare(queue, true).await
    }

    /// Makes sure that there is a plain durable queue of this name.
    ///
    /// # Errors
    /// As [`Client::declare_task_queue`].
    pub async fn declare_queue(&self, queue: &str) -> Result<(), PublishError> {
        self.declare(queue, false).await
    }

    async fn declare(&self, queue: &str, is_task_queue: bool) -> Result<(), PublishError> {
        let queue = short_string("name of the queue", queue)?;
        let (done, outcome) = oneshot::channel();
        self.link.send(Command::Declare(Declare { queue, is_task_queue, done })).await?;
        outcome.await.unwrap_or(Err(PublishError::Closed))
    }

    /// Ends the connection, for all clones. Waits (10 s, see [`ClientBuilder::close_timeout`]) for what is not
    /// confirmed; what is not confirmed by then, and calls without an answer, fail with [`PublishError::Closed`].
    pub async fn close(&self) {
        self.link.close().await;
    }

    /// Makes a call.
    pub(crate) async fn answer(&self, queue: &str, task: Task, limit: Duration) -> Result<Reply, CallError> {
        let task_id = TaskId::fresh();
        let asking = async {
            let publication = task.into_call(task_id).into_publication("", queue)?;
            let share = self.call_budget.take(publication.bytes()).await;
            let (_place, answer) = self.calls.add(task_id, publication, share);
            self.link.send(Command::Call(task_id)).await?;
            answer.await.unwrap_or(Err(PublishError::Closed))
        };
        match timeout(limit, asking).await {
            Ok(Ok(Ok(reply))) => Ok(reply),
            Ok(Ok(Err(failure))) => Err(CallError::Failed { task_id, failure }),
            Ok(Err(error)) => Err(CallError::not_published(queue, error)),
            Err(_) => Err(CallError::Late { task_id, waited: limit }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("link", &self.link).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// The name that the broker shows for the connection.
    #[must_use]
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.connection_name = Some(name.into());
        self
    }

    /// The longest heartbeat interval in seconds; the broker may ask for a shorter one. Default 20. 0 for none: a
    /// broker that vanishes without a word is then noticed by the operating system alone, which takes minutes.
    #[must_use]
    pub fn heartbeat_s(mut self, heartbeat_s: u16) -> Self {
        self.heartbeat_s = heartbeat_s;
        self
    }

    /// How many publishes may wait for their confirms; at least 1. Default 1024.
    #[must_use]
    pub fn in_flight_max(mut self, in_flight_max: usize) -> Self {
        self.in_flight_max = in_flight_max;
        self
    }

    /// How many bytes they may take together; once more for calls. Default 64 MiB. A larger message goes alone.
    #[must_use]
    pub fn in_flight_bytes_max(mut self, in_flight_bytes_max: usize) -> Self {
        self.in_flight_bytes_max = in_flight_bytes_max;
        self
    }

    /// How many calls may wait for their answers; at least 1. Further ones wait for a place, within their timeout.
    /// Default 4096.
    #[must_use]
    pub fn calls_max(mut self, calls_max: usize) -> Self {
        self.calls_max = calls_max;
        self
    }

    /// How long [`Client::close`] waits for what is not confirmed. Default 10 s.
    #[must_use]
    pub fn close_timeout(mut self, close_timeout: Duration) -> Self {
        self.close_timeout = close_timeout;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect(self, url: &str) -> Result<Client, ConnectError> {
        let mut settings = LinkSettings::new(url.parse()?, "Forebay client");
        settings.connection_name = self.connection_name;
        settings.heartbeat_s = self.heartbeat_s;
        settings.close_timeout = self.close_timeout;
        let calls = Arc::new(Calls::default());
        let (link, first) = Link::start(settings, Producer::new(calls.clone()))?;
        first.await.expect("the thread of the connection tells how the first one went")?;
        Ok(Client {
            link,
            calls,
            publish_budget: Budget::new(self.in_flight_max, self.in_flight_bytes_max),
            call_budget: Budget::new(self.calls_max, self.in_flight_bytes_max),
        })
    }
}
