//! What clients do: operations, and how often each.

use super::Turn;
use crate::operations::{
    audit, bind, break_rules, call, cancel, close_channel, close_connection, consume, declare_exchange,
    declare_queue, delete_exchange, delete_queue, get, move_token, prefetch, publish, purge, recover, settle,
    solo, sync, task,
};

/// One thing that a client can do.
pub type Operation = fn(&mut Turn<'_>);

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Has a queue to itself, and predicts what it hears.
    Solo,
    /// Publishes work, and counts what is confirmed.
    Publisher,
    /// Consumes work and settles it in every way there is.
    Worker,
    /// Asks for work, one message at a time.
    Getter,
    /// Moves tokens between two queues, in transactions.
    Mover,
    /// Floods a queue that does not survive.
    Flooder,
    /// Drinks from that queue.
    Drinker,
    /// Makes, binds and deletes what nobody else depends on.
    Churner,
    /// Publishes to a queue, and purges it.
    Purger,
    /// Asks for an answer, without a queue of its own.
    Caller,
    /// Gives such answers.
    Replier,
    /// Publishes tasks.
    Employer,
    /// Does tasks, and vanishes now and then.
    TaskWorker,
    /// Consumes replies, and what follows from tasks.
    Collector,
    /// Makes what all depend on, and looks through it in the end.
    Auditor,
}

impl Role {
    /// The roles that a run chooses from.
    pub const ALL: [Self; 14] = [
        Self::Solo,
        Self::Publisher,
        Self::Worker,
        Self::Getter,
        Self::Mover,
        Self::Flooder,
        Self::Drinker,
        Self::Churner,
        Self::Purger,
        Self::Caller,
        Self::Replier,
        Self::Employer,
        Self::TaskWorker,
        Self::Collector,
    ];

    /// How many channels such a client uses at once.
    #[must_use]
    pub fn channels(self) -> u16 {
        match self {
            Self::Publisher | Self::Worker | Self::TaskWorker => 2,
            _ => 1,
        }
    }

    /// What it does first on a new channel.
    #[must_use]
    pub fn preparation(self) -> &'static [Operation] {
        match self {
            Self::Solo => &[solo::begin],
            Self::Publisher => &[publish::select_confirm],
            Self::Purger => &[publish::select_confirm],
            Self::Worker => &[prefetch::some, consume::work],
            Self::Getter => &[],
            Self::Mover => &[move_token::select_transaction],
            Self::Flooder => &[declare_queue::flood],
            Self::Drinker => &[declare_queue::flood, consume::flood],
            Self::Churner => &[],
            Self::Caller => &[call::listen],
            Self::Replier => &[consume::calls],
            Self::Employer => &[call::listen, publish::select_confirm],
            Self::TaskWorker => &[task::consume::begin],
            Self::Collector => &[task::collect::begin],
            Self::Auditor => &[],
        }
    }

    /// What it does, each with its weight.
    #[must_use]
    pub fn operations(self) -> &'static [(u32, Operation)] {
        match self {
            Self::Solo => &[
                (8, solo::publish),
                (6, solo::get),
                (6, solo::settle),
                (1, solo::purge),
                (1, solo::delete),
                (2, solo::declare),
                (1, solo::recover),
                (3, solo::commit),
                (1, solo::rollback),
                (1, solo::reopen),
            ],
            Self::Publisher => &[
                (12, publish::work),
                (3, publish::many),
                (2, publish::by_exchange),
                (2, publish::nowhere),
                (2, publish::transient),
                (1, sync::ask),
                (1, close_channel::close),
                (1, break_rules::publish_to_missing_exchange),
            ],
            Self::Worker => &[
                (8, settle::ack),
                (4, settle::ack_many),
                (3, settle::requeue),
                (2, settle::requeue_many),
                (1, settle::reject),
                (2, consume::work),
                (1, cancel::some),
                (1, recover::all),
                (1, prefetch::some),
                (2, sync::ask),
                (1, close_channel::close),
                (1, close_connection::close),
                (1, break_rules::settle_twice),
            ],
            Self::Getter => &[
                (8, get::work),
                (4, settle::ack),
                (2, settle::ack_many),
                (2, settle::requeue),
                (1, sync::ask),
                (1, close_channel::close),
            ],
            Self::Mover => &[(12, move_token::take), (1, move_token::roll_back), (1, close_channel::close)],
            Self::Flooder => &[(8, publish::flood), (1, sync::ask), (1, close_connection::close)],
            Self::Drinker => &[(1, sync::ask), (1, prefetch::some)],
            Self::Churner => &[
                (4, declare_queue::own),
                (2, delete_queue::own),
                (2, delete_queue::if_empty),
                (1, declare_queue::exclusive),
                (3, declare_exchange::own),
                (1, declare_exchange::special),
                (1, declare_exchange::passively),
                (2, delete_exchange::own),
                (4, bind::queue),
                (2, bind::unbind_queue),
                (2, bind::exchange),
                (1, bind::unbind_exchange),
                (4, publish::to_own),
                (2, consume::own),
                (1, consume::alone),
                (1, cancel::some),
                (1, declare_queue::otherwise),
                (1, close_channel::close),
                (1, close_connection::close),
            ],
            Self::Purger => &[(8, publish::purged), (1, purge::purged), (1, sync::ask)],
            Self::Caller => &[(8, call::ask), (1, close_channel::close)],
            Self::Replier => &[(10, call::answer), (1, settle::requeue), (1, close_connection::close)],
            Self::Employer => &[
                (8, task::publish::some),
                (5, task::publish::with_key),
                (4, task::publish::again),
                (1, close_channel::close),
                (1, close_connection::close),
            ],
            Self::TaskWorker => &[
                (4, task::acknowledge::some),
                (6, task::answer::with_result),
                (3, task::answer::with_error),
                (1, task::answer::at_any_time),
                (6, task::transact::commit),
                (1, task::transact::roll_back),
                (2, task::give_up::for_now),
                (1, task::give_up::for_good),
                (2, task::consume::some),
                (1, cancel::some),
                (1, recover::all),
                (1, sync::ask),
                (1, close_channel::close),
                (1, close_connection::close),
                (1, task::vanish::vanish),
            ],
            Self::Collector => {
                &[(8, settle::ack), (2, settle::ack_many), (2, settle::requeue), (1, sync::ask)]
            }
            Self::Auditor => &[(1, audit::next)],
        }
    }
}
