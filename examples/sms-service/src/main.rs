//! The service, its worker and, unless `--url` names one, their broker, in one program.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use forebay::Server;
use forebay_client::{Client, TaskType};
use forebay_worker::signals;
use sms_service::provider::Provider;
use sms_service::service::router;
use sms_service::sms::SendSms;
use sms_service::worker::worker;
use tokio::net::TcpListener;

/// A web service that leaves slow work to a worker.
#[derive(Parser)]
struct Arguments {
    /// The broker, as amqp://user:password@host:port/vhost; without it there is one in this process, in memory.
    #[arg(long)]
    url: Option<String>,
    /// Where the service listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (url, broker) = match arguments.url {
        Some(url) => (url, None),
        None => {
            let broker = Server::in_memory().await.context("no broker")?;
            (broker.amqp_url().to_owned(), Some(broker))
        }
    };
    let client = Client::connect(&url).await.context("no client")?;
    client.declare_task_queue(SendSms::QUEUE).await?;
    let provider = Arc::new(Provider::new(Duration::from_millis(20)));
    let worker = tokio::spawn(worker(&url, Arc::clone(&provider), signals())?.run());

    let listener = TcpListener::bind(&arguments.listen).await.context(arguments.listen)?;
    let address = listener.local_addr()?;
    println!("broker   {url}");
    println!("service  http://{address}/sms and http://{address}/sms/wait; Ctrl-C ends it");
    axum::serve(listener, router(client.clone())).with_graceful_shutdown(signals()).await?;

    worker.await??;
    client.close().await;
    if let Some(broker) = broker {
        broker.stop().await;
    }
    println!("the provider sent {} messages", provider.count());
    Ok(())
}
