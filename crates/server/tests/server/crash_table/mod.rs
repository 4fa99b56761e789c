//! What happens to a task when something dies, on the real binary: a file for each mishap.
//!
//! The server is killed with SIGKILL at swept moments around a commit, started again on the same data, and asked. On which
//! side of the commit a kill falls is up to the machine; the promise holds on both, and each test prints how often it saw
//! which (`cargo test -p forebay --test server crash_table -- --nocapture`).

mod broker_dies_inside_a_commit;
mod cancel_meets_complete;
mod client_gets_no_answer;
mod complete_answer_lost;
mod complete_did_not_arrive;
mod confirm_lost;
mod waiting_node_dies;
mod worker_dies;
mod zombie_settles;

mod api;
mod kills;
mod worker;
