//! What happened, in numbers.

/// Counts since the boot. Every drop has a count of its own (promise P9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that ended.
    pub connections_closed: u64,
    /// Sessions that were opened.
    pub sessions_opened: u64,
    /// Sessions that ended.
    pub sessions_closed: u64,
    /// Queues that were created.
    pub queues_created: u64,
    /// Queues that were deleted, by command or with their last consumer or connection.
    pub queues_deleted: u64,
    /// Messages that were published, those of committed transactions included.
    pub published: u64,
    /// Published messages that reached at least one queue or reply consumer.
    pub routed: u64,
    /// Publishes that were confirmed, or will be when they are durable.
    pub confirmed: u64,
    /// Unroutable messages that were dropped.
    pub unroutable_dropped: u64,
    /// Unroutable messages that went back to their publisher.
    pub unroutable_returned: u64,
    /// Direct replies whose requester was gone, or did not read.
    pub replies_dropped: u64,
    /// Deliveries, by consumer or by hand.
    pub delivered: u64,
    /// Deliveries that had, or may have, been made before.
    pub redelivered: u64,
    /// Gets that found nothing.
    pub get_empty: u64,
    /// Deliveries that were acknowledged.
    pub acknowledged: u64,
    /// Messages that were rejected and had nowhere to go.
    pub rejected_dropped: u64,
    /// Messages that were purged by command.
    pub messages_purged: u64,
    /// Messages that became tasks.
    pub tasks_accepted: u64,
    /// Publishes and requests that repeated an idempotency key: nothing was added.
    pub tasks_repeated: u64,
    /// Publishes and requests that were refused because the task queue was full.
    pub tasks_refused_full: u64,
    /// Publishes, tasks and results that were refused or held back because the storage had no room for them.
    pub publishes_without_room: u64,
    /// Transactions that were refused because the storage had no room for their publishes.
    pub commits_without_room: u64,
    /// Publishes that nobody confirms and that were held back until the storage has room; again for each time.
    pub publishes_held_back: u64,
    /// Publishes that nobody confirms and that were dropped for want of room: their clients left while they were held
    /// back, or they are larger than all the room there is.
    pub dropped_without_room: u64,
    /// Tasks that succeeded.
    pub tasks_succeeded: u64,
    /// Tasks that were given up.
    pub tasks_failed: u64,
    /// Tasks that were cancelled, by command or because their queue was purged.
    pub tasks_cancelled: u64,
    /// Tasks that were not started, or not done, in time.
    pub tasks_expired: u64,
    /// Attempts of tasks that failed and are tried again.
    pub task_retries: u64,
    /// Workers that were lost while they had a task.
    pub task_crashes: u64,
    /// Tasks that were leased.
    pub leases_granted: u64,
    /// Replies, rejections and settlements of workers that did not have the task any more.
    pub task_settlements_late: u64,
    /// Replies of tasks that could not be published where the producer wanted them.
    pub task_replies_dropped: u64,
}

/// What there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections.
    pub connections: u64,
    /// Sessions.
    pub sessions: u64,
    /// Consumers.
    pub consumers: u64,
    /// Exchanges, the predeclared ones included and the default exchange not.
    pub exchanges: u64,
    /// Queues.
    pub queues: u64,
    /// Ready messages.
    pub messages_ready: u64,
    /// Bytes of their bodies.
    pub messages_ready_bytes: u64,
    /// Unacked messages.
    pub messages_unacked: u64,
    /// Bytes of their bodies; of tasks that nobody has, too.
    pub messages_unacked_bytes: u64,
    /// Queues that hand nothing out, because something of theirs cannot be read.
    pub queues_halted: u64,
    /// Tasks that are unfinished, or whose results are kept.
    pub tasks: u64,
    /// Tasks that wait for a time.
    pub tasks_scheduled: u64,
    /// Tasks that were given up and are kept.
    pub tasks_failed: u64,
}

/// What a message takes beside its body, about: its properties, where it goes, its place.
const AROUND_BODY_BYTES: u64 = 64;

impl Totals {
    /// About how many bytes all messages take in the journal: their bodies, and what is around each.
    #[must_use]
    pub fn messages_bytes(&self) -> u64 {
        let messages = self.messages_ready + self.messages_unacked;
        self.messages_ready_bytes + self.messages_unacked_bytes + messages * AROUND_BODY_BYTES
    }
}

impl Counters {
    pub(crate) fn delivered(&mut self, redelivered: bool) {
        self.delivered += 1;
        self.redelivered += u64::from(redelivered);
    }
}

impl crate::Broker {
    /// Counts since the boot.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What there is now. Costs a look at every queue and connection.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            connections: self.connections.len() as u64,
            sessions: self.connections.values().map(|connection| connection.sessions.len() as u64).sum(),
            consumers: self.consumers.len() as u64 + self.replies.len() as u64,
            exchanges: self.topology.exchanges().count() as u64,
            queues: self.queues.len() as u64,
            tasks: self.tasks.len() as u64,
            ..Totals::default()
        };
        for queue in self.queues.values() {
            let (ready, held) = (queue.strand.ready(), queue.strand.held());
            totals.queues_halted += u64::from(queue.halted.is_some());
            totals.messages_ready += ready.messages;
            totals.messages_ready_bytes += ready.body_bytes;
            let counts = queue.tasks.as_ref().map(|tasks| tasks.counts).unwrap_or_default();
            totals.tasks_scheduled += counts.scheduled;
            totals.tasks_failed += counts.failed;
            totals.messages_unacked += held.messages - counts.scheduled - counts.failed;
            totals.messages_unacked_bytes += held.body_bytes;
        }
        totals
    }
}
