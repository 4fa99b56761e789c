//! Many virtual hosts in one server, all of them with traffic: time to start, memory, threads, files, disk.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use testkit::amqp::Peer;
use testkit::server::ForebayServer;

use super::DepthArguments;
use super::load::Backlog;
use crate::disk::folder_bytes;
use crate::target::Target;

/// Messages in each virtual host. All but the last are acked.
const MESSAGES: u64 = 100;

/// Virtual hosts that have traffic at the same moment.
const CONNECTIONS: usize = 16;

/// How long the quiet behind the traffic lasts: then memory is what a virtual host at rest takes.
const QUIET: Duration = Duration::from_secs(20);

const START_MAX: Duration = Duration::from_secs(2);
const ANONYMOUS_BYTES_MAX: u64 = 100_000;

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let vhosts: Vec<String> = (0..arguments.vhosts).map(|number| format!("vhost-{number}")).collect();
    let flags: Vec<&str> = vhosts.iter().flat_map(|vhost| ["--vhost", vhost]).collect();
    let mut target = arguments.target.start(&flags)?;
    let Target::Fresh { server, .. } = &mut target else {
        bail!("vhosts needs a server of its own; leave out --url")
    };
    println!(
        "\n{} virtual hosts, {MESSAGES} messages of {} bytes in each",
        vhosts.len(),
        arguments.body_bytes(1000)
    );
    let first_start = server.startup_time();
    println!("first start: {:.2} s", first_start.as_secs_f64());
    tell(server, "started", vhosts.len())?;
    let backlog = Backlog { queue: "q".into(), messages: MESSAGES, body_bytes: arguments.body_bytes(1000) };
    for_each(server, &vhosts, |peer| {
        backlog.declare(peer)?;
        backlog.fill(peer, |_| ())?;
        backlog.consume(peer)?;
        Backlog { messages: MESSAGES - 1, ..backlog.clone() }.drain(peer, 0, |_| ())
    })?;
    let busy_bytes = tell(server, "after traffic", vhosts.len())?;
    thread::sleep(QUIET);
    let anonymous_bytes = tell(server, "at rest", vhosts.len())?;

    server.kill()?;
    server.restart()?;
    let restart = server.startup_time();
    println!("restart after a kill: {:.2} s", restart.as_secs_f64());
    for_each(server, &vhosts, |peer| {
        backlog.consume(peer)?;
        backlog.drain(peer, MESSAGES - 1, |_| ())?;
        backlog.delete(peer)
    })?;
    thread::sleep(QUIET);
    tell(server, "restarted", vhosts.len())?;
    println!(
        "every virtual host had traffic before the kill and after it, and nothing was lost or came twice"
    );
    check("the first start took", first_start.as_millis(), START_MAX.as_millis(), "ms")?;
    check("the restart took", restart.as_millis(), START_MAX.as_millis(), "ms")?;
    let max = ANONYMOUS_BYTES_MAX.into();
    check("a virtual host that was just used takes", busy_bytes.into(), max, "bytes of anonymous memory")?;
    check("a virtual host at rest takes", anonymous_bytes.into(), max, "bytes of anonymous memory")
}

/// Says what the server takes. Bytes of anonymous memory for each virtual host.
fn tell(server: &ForebayServer, when: &str, vhosts: usize) -> Result<u64> {
    let anonymous_bytes = server.usage()?.anonymous_bytes / vhosts as u64;
    let entries = |folder: &str| -> Result<usize> {
        let path = format!("/proc/{}/{folder}", server.process_id());
        Ok(fs::read_dir(&path).with_context(|| format!("cannot list {path}"))?.count())
    };
    println!(
        "{when}: {:.1} KB of anonymous memory and {:.2} MB of disk for each, {} threads, {} open files in all",
        anonymous_bytes as f64 / 1e3,
        disk_mb(server.data_dir())? / vhosts as f64,
        entries("task")?,
        entries("fd")?
    );
    Ok(anonymous_bytes)
}

fn disk_mb(folder: &Path) -> Result<f64> {
    Ok(folder_bytes(folder)? as f64 / 1e6)
}

/// Does it in all virtual hosts, on a connection for each, a few at a time.
fn for_each(
    server: &ForebayServer,
    vhosts: &[String],
    work: impl Fn(&mut Peer) -> Result<()> + Sync,
) -> Result<()> {
    let in_one = |vhost: &String| {
        let mut endpoint = server.endpoint();
        endpoint.virtual_host.clone_from(vhost);
        let mut peer = Peer::open(&endpoint)?;
        peer.set_wait_max(Duration::from_secs(60))?;
        work(&mut peer)
    };
    let part = vhosts.len().div_ceil(CONNECTIONS).max(1);
    thread::scope(|scope| {
        let in_part = |part: &[String]| {
            part.iter()
                .try_for_each(|vhost| in_one(vhost).with_context(|| format!("in virtual host {vhost}")))
        };
        let workers: Vec<_> = vhosts.chunks(part).map(|part| scope.spawn(move || in_part(part))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker has panicked"))?)
    })
}

fn check(what: &str, value: u128, max: u128, unit: &str) -> Result<()> {
    if value > max {
        bail!("{what} {value} {unit}; the bar is {max} {unit}");
    }
    println!("{what} {value} {unit} (bar: {max})");
    Ok(())
}
