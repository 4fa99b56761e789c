//! A task from end to end: a worker and a caller in one program.
//!
//! ```text
//! forebay serve &
//! cargo run -p forebay-worker --example greet -- World
//! ```

use std::time::Duration;

use forebay_client::Client;
use forebay_worker::{Cx, Fail, TaskType, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What both sides share. In a larger program it has a crate of its own.
#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl TaskType for Greet {
    const NAME: &'static str = "greet";
    const QUEUE: &'static str = "greetings";
    type Output = String;
}

async fn greet(job: Greet, cx: Cx, greeting: &'static str) -> Result<String, Fail> {
    if job.name.is_empty() {
        return Err(Fail::fatal("whom?").status(422));
    }
    Ok(format!("{greeting} {}, at attempt {}!", job.name, cx.attempt()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("FOREBAY_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1/".to_owned());
    let (stop, stopped) = oneshot::channel::<()>();
    let told = async {
        // Dropping the sender tells as well.
        let _ = stopped.await;
    };
    let worker = Worker::connect(&url)?.handle_with("Hello", greet).shutdown(told, Duration::from_secs(5));
    let worker = tokio::spawn(worker.run());

    let client = Client::connect(&url).await?;
    client.declare_task_queue(Greet::QUEUE).await?;
    let name = std::env::args().nth(1).unwrap_or_default();
    match client.call(Greet { name }).timeout(Duration::from_secs(5)).await {
        Ok(greeting) => println!("{greeting}"),
        Err(error) => println!("no greeting: {error}"),
    }

    client.close().await;
    drop(stop);
    worker.await??;
    Ok(())
}
