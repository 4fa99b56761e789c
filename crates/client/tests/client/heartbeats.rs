//! Signs of life, and their absence.

use std::thread;
use std::time::{Duration, Instant};

use forebay_client::Client;

use crate::scripted_broker::ScriptedBroker;

#[tokio::test]
async fn heartbeats_go_on_while_the_program_blocks_its_own_runtime() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let mut client = broker.accept(1);
        // The opening of the channel comes first.
        client.hear();
        client.hear();
        client.hear_nothing_for(Duration::from_millis(1700));
        assert!(client.heartbeats >= 2, "{} heartbeats in 1.7 s", client.heartbeats);
    });
    let _client = Client::connect(&url).await.unwrap();
    // What a program should not do: the test's only thread sleeps.
    thread::sleep(Duration::from_millis(1800));
    script.join().unwrap();
}

#[tokio::test]
async fn a_silent_broker_is_left_for_a_new_connection() {
    let broker = ScriptedBroker::listen();
    let url = broker.url();
    let script = thread::spawn(move || {
        let _silent = broker.accept(1);
        let started = Instant::now();
        let mut second = broker.accept(1);
        assert!(started.elapsed() >= Duration::from_millis(1900), "{:?}", started.elapsed());
        second.expect_goodbye();
    });
    let client = Client::connect(&url).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2600)).await;
    client.close().await;
    script.join().unwrap();
}
