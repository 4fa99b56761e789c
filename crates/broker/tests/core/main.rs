//! The core as its clients see it, feature by feature, and as a restart finds it.

#[path = "../../../../fuzz/choices.rs"]
mod choices;
mod world;

mod declaring;
mod dispatching;
mod ending;
mod model;
mod publishing;
mod random_conversations;
mod random_records;
mod random_tasks;
mod records;
mod replies;
mod room;
mod routing;
mod rows;
mod salvaging;
mod settling;
mod standing;
mod tables;
mod task_model;
mod task_troubles;
mod tasks;
mod transactions;
