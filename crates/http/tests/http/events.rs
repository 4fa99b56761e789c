//! Streams of events.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{World, get, patch, post};

/// The events of a stream that has ended: id, name and data.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |event: &str, name: &str| {
        event
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
            .to_owned()
    };
    let blocks = text.split("\n\n").filter(|block| block.contains("event: "));
    blocks
        .map(|block| {
            (field(block, "id"), field(block, "event"), serde_json::from_str(&field(block, "data")).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_task_is_followed_to_its_end() {
    let world = World::new();
    world.queue("q").await;
    let mut client = world.client().await;
    let submit = post("/v1/queues/q/tasks").header("accept", "text/event-stream").json("{}");
    let mut response = client.send(submit).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let place = response.headers()["location"].to_str().unwrap().to_owned();
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let first = events(std::str::from_utf8(&first).unwrap());
    assert_eq!((first[0].1.as_str(), &first[0].2["state"]), ("state", &json!("ready")));

    let lease = world.lease("q").await;
    let path = format!("/v1/leases/{}", lease["lease"].as_str().unwrap());
    assert_eq!(world.ask(patch(&path).json("{\"progress\":{\n\"done\":40}}")).await.status, 200);
    let progress = async {
        let mut text = String::new();
        while !text.contains("event: progress") {
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        text
    };
    let seen = events(&progress.await);
    assert_eq!(seen.last().unwrap().2, json!({"done": 40}));
    assert_eq!(world.ask(post(&format!("{path}/complete")).json(r#"{"result":{"n":1}}"#)).await.status, 200);
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    let rest = events(std::str::from_utf8(&rest).unwrap());
    let (id, name, data) = rest.last().unwrap();
    assert_eq!(
        (name.as_str(), &data["state"], &data["result"]),
        ("result", &json!("succeeded"), &json!({"n": 1}))
    );

    // Whoever comes back gets what is missing, and is told when there is no more.
    let again = world.ask(get(&format!("{place}/events")).header("last-event-id", &first[0].0)).await;
    assert_eq!(events(again.text()), [rest.last().unwrap().clone()]);
    let over = world.ask(get(&format!("{place}/events")).header("last-event-id", id)).await;
    assert_eq!((over.status, over.body.len()), (204, 0));
}

#[tokio::test]
async fn a_call_can_be_streamed_and_bytes_are_shown_as_base64() {
    let world = World::new();
    world.queue("q").await;
    let call = post("/v1/queues/q/call").header("accept", "text/event-stream").body("x");
    let (told, ()) =
        tokio::join!(world.ask(call), async { world.complete(&world.lease("q").await, "y").await });
    let events = events(told.text());
    let (_, name, data) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &data["result_base64"], &data["result_content_type"]),
        ("result", &json!("eQ=="), &json!("text/plain"))
    );
}

#[tokio::test]
async fn a_silent_stream_gives_signs_of_life_and_ends_with_the_server() {
    let limits =
        http_api::Limits { event_keep_alive: std::time::Duration::from_millis(20), ..Default::default() };
    let world = World::with(limits);
    world.queue("q").await;
    let mut client = world.client().await;
    let submit = post("/v1/queues/q/tasks").header("accept", "text/event-stream").json("{}");
    let mut response = client.send(submit).await.unwrap();
    for expected in ["event: state", ": still there", ": still there"] {
        let frame = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(std::str::from_utf8(&frame).unwrap().contains(expected), "{frame:?}");
    }
    world.stop();
    assert!(response.into_body().collect().await.is_ok());
}
