//! Starting, refusing to start, and stopping.

use std::io::Write;
use std::net::TcpStream;
use std::process::Output;
use std::time::{Duration, Instant};

use amqp_wire::{ProtocolHeader, connection};
use testkit::amqp::Peer;
use testkit::server::{ForebayServer, ServerOptions};

use crate::support::{BINARY, Fresh, forebay, greeting};

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let fresh = Fresh::start();
    let data = fresh.server.data_dir().to_str().unwrap();
    let output = forebay(&["serve", "--data", data, "--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .output()
        .unwrap();
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert!(error.contains(data), "{error}");
    assert!(error.contains(&format!("(process {})", fresh.server.process_id())), "{error}");
    // The first one did not notice.
    fresh.client();
}

#[test]
fn an_address_in_use_is_named() {
    let fresh = Fresh::start();
    let address = fresh.server.endpoint().address;
    let data = fresh.folder.path().join("other");
    let output = forebay(&["serve", "--data", data.to_str().unwrap(), "--amqp", &address]).output().unwrap();
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert!(error.contains(&address) && error.contains("amqp.listen"), "{error}");
}

#[test]
fn wrong_settings_end_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("forebay.toml");
    std::fs::write(&file, "[amqp]\nport = 5672\n").unwrap();
    let output = forebay(&["serve", "--config", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(error_of(&output).contains("unknown setting 'amqp.port'"), "{}", error_of(&output));

    let output = forebay(&["serve"]).env("FOREBAY_AMQP_CHANNEL_MAX", "0").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(error_of(&output).contains("FOREBAY_AMQP_CHANNEL_MAX"), "{}", error_of(&output));
}

#[test]
fn settings_reach_the_clients() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("forebay.toml");
    std::fs::write(&file, "cluster_name = 'from file'\n[amqp]\nchannel_max = 7\nheartbeat_s = 7\n").unwrap();
    let mut options = ServerOptions::new(BINARY, folder.path().join("data"));
    options.arguments =
        ["--config", file.to_str().unwrap(), "--amqp-heartbeat-s", "9"].map(str::to_owned).to_vec();
    let server = ForebayServer::start(options).unwrap();
    let mut peer = Peer::dial(&server.endpoint().address).unwrap();
    peer.send_raw(&ProtocolHeader::AMQP_0_9_1).unwrap();
    let start: connection::Start = peer.expect(0).unwrap();
    assert_eq!(greeting(&start.server_properties, "cluster_name"), "from file");
    assert_eq!(greeting(&start.server_properties, "product"), "Forebay");
    peer.send(0, testkit::amqp::Handshake::default().start_ok(&server.endpoint())).unwrap();
    let tune: connection::Tune = peer.expect(0).unwrap();
    assert_eq!((tune.channel_max, tune.heartbeat), (7, 9));
}

#[test]
fn virtual_hosts_are_apart() {
    let fresh = Fresh::start_with(&["--vhost", "/", "--vhost", "shop"]);
    let mut client = fresh.client();
    crate::support::declare(&mut client, "q", true);
    let mut endpoint = fresh.server.endpoint();
    endpoint.virtual_host = "shop".to_owned();
    let mut other = Peer::open(&endpoint).unwrap();
    other.open_channel(1).unwrap();
    let passive =
        amqp_wire::queue::Declare { queue: crate::support::name("q"), passive: true, ..Default::default() };
    other.send(1, passive).unwrap();
    let close: amqp_wire::channel::Close = other.expect(1).unwrap();
    assert_eq!(close.reply_text.to_string(), "NOT_FOUND - no queue 'q' in vhost 'shop'");

    endpoint.virtual_host = "missing".to_owned();
    let error = Peer::open(&endpoint).unwrap_err().to_string();
    assert!(error.contains("vhost missing not found"), "{error}");
}

#[test]
fn a_wrong_password_is_refused_with_its_text() {
    let fresh = Fresh::start();
    let mut endpoint = fresh.server.endpoint();
    endpoint.password = "wrong".to_owned();
    let error = Peer::open(&endpoint).unwrap_err().to_string();
    assert!(error.contains("ACCESS_REFUSED"), "{error}");
    assert!(fresh.server.log_tail().contains("the password is wrong"), "{}", fresh.server.log_tail());
}

#[test]
fn a_client_that_does_not_answer_the_goodbye_delays_the_stop_for_a_bounded_time() {
    let mut fresh = Fresh::start_with(&["--shutdown-timeout-ms", "300"]);
    let _silent = fresh.client();
    let started = Instant::now();
    assert!(fresh.server.terminate().unwrap().success());
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_stranger_gets_the_header_and_is_shown_out() {
    let fresh = Fresh::start();
    let mut peer = Peer::dial(&fresh.server.endpoint().address).unwrap();
    peer.send_raw(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    assert_eq!(peer.expect_end().unwrap(), ProtocolHeader::AMQP_0_9_1);
}

#[test]
fn a_port_check_leaves_no_trace_above_debug() {
    let fresh = Fresh::start();
    drop(TcpStream::connect(fresh.server.endpoint().address).unwrap());
    let mut cut = TcpStream::connect(fresh.server.endpoint().address).unwrap();
    cut.write_all(b"AM").unwrap();
    drop(cut);
    // Served after the others, whose ends have been seen by then.
    let _client = fresh.client();
    let log = std::fs::read_to_string(fresh.server.log()).unwrap();
    assert!(!log.contains("WARN") && !log.contains("left"), "{log}");
}
