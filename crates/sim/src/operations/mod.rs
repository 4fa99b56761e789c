//! What clients do, one file for each operation.

pub mod audit;
pub mod bind;
pub mod break_rules;
pub mod call;
pub mod cancel;
pub mod close_channel;
pub mod close_connection;
pub mod consume;
pub mod declare_exchange;
pub mod declare_queue;
pub mod delete_exchange;
pub mod delete_queue;
pub mod get;
pub mod move_token;
pub mod prefetch;
pub mod publish;
pub mod purge;
pub mod recover;
pub mod request;
pub mod settle;
pub mod solo;
pub mod sync;
pub mod task;

/// The queues that publishers and workers share.
pub const WORK: [&str; 3] = ["work0", "work1", "work2"];
/// The queues that tokens move between.
pub const TOKENS: [&str; 2] = ["tokens0", "tokens1"];
/// How many tokens there are.
pub const TOKEN_COUNT: usize = 4;
/// The queue that is purged now and then.
pub const PURGED: &str = "purged";
/// The queue that does not survive.
pub const FLOOD: &str = "flood";
/// The queue of questions.
pub const CALLS: &str = "calls";
/// The exchange that feeds the first two queues of work.
pub const FAN: &str = "fan";
/// The queues that solo clients have to themselves begin like this.
pub const SOLO: &str = "solo";
/// The task queue of everybody.
pub const JOBS: &str = "jobs";
/// The task queue that is soon full.
pub const SMALL: &str = "small";
/// The task queue that comes and goes.
pub const BRIEF: &str = "brief";
/// The queue of the replies of tasks, and of nothing else.
pub const DONE: &str = "done";
/// The queue of what follows from tasks.
pub const NEXT: &str = "next";
