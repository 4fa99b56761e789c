//! A broker in a program of one's own, with nothing on disk: says how soon it was ready, and serves until Ctrl-C.
//!
//! ```text
//! cargo run --release -p forebay --example in_memory
//! ```

use std::time::Instant;

use forebay::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let broker = Server::in_memory().await?;
    println!("ready after {:.1} ms", started.elapsed().as_secs_f64() * 1000.0);
    println!("AMQP  {}", broker.amqp_url());
    println!("HTTP  {}", broker.http_url());
    tokio::signal::ctrl_c().await?;
    let stopping = Instant::now();
    let ending = broker.stop().await;
    println!("{ending:?} after {:.1} ms", stopping.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}
