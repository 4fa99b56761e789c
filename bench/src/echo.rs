//! A TCP server that sends back what it gets: the yardstick for round trips.

use std::io::Write;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BUFFER_BYTES: usize = 64 * 1024;

/// Echoes on `listen` (`host:port`) until the process is killed.
///
/// Prints `listening on ADDRESS` when clients may come.
///
/// # Errors
/// When the address cannot be used.
pub fn serve(listen: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(run(listen))
}

async fn run(listen: &str) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()?;
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            if let Err(error) = echo(stream).await {
                eprintln!("echo: connection of {peer}: {error:#}");
            }
        });
    }
}

async fn echo(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = stream.read(&mut buffer).await.context("cannot read")?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read]).await.context("cannot write")?;
    }
}
