//! Sockets that clients come to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::mpsc;

use crate::connection::Connection;
use crate::node::Node;
use crate::settings::Listen;

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (setting '{setting}'): {source}{hint}")]
pub struct ListenError {
    setting: &'static str,
    address: String,
    hint: &'static str,
    source: io::Error,
}

/// Clients that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Opens all addresses of a setting. Of the default ones, those are left out, with a warning, whose address
/// family this machine does not have.
///
/// # Errors
/// When an address can't be listened on, or none of the default ones is left.
pub(crate) async fn listen_on(
    setting: &'static str,
    listen: &Listen,
) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for address in &listen.addresses {
        match open(address).await {
            Ok(opened) => listeners.extend(opened),
            Err(error) if !listen.asked_for && is_missing_family(&error) => {
                tracing::warn!(%address, %error, "this machine does not have the address; going on without it");
                missing = Some(ListenError { setting, address: address.clone(), hint: "", source: error });
            }
            Err(source) => {
                let hint = match source.kind() {
                    io::ErrorKind::AddrInUse => "; stop the program that has it, or choose another address",
                    io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
                    _ => "",
                };
                return Err(ListenError { setting, address: address.clone(), hint, source });
            }
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// A host's name can stand for several addresses.
async fn open(address: &str) -> io::Result<Vec<TcpListener>> {
    lookup_host(address).await?.map(open_one).collect()
}

fn open_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // A restarted server gets its port back at once, although old connections still fade away.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_missing_family(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

/// The next client. Troubles of the operating system are logged and waited out: a listener that gives up would
/// leave the server deaf.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_exhaustion(&error) => {
                tracing::error!(
                    %error,
                    "cannot accept a client; waiting for others to leave. Raise the limit of open descriptors if this lasts"
                );
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            // A client that left before its turn.
            Err(error) => tracing::debug!(%error, "accepting a client failed"),
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Accepts AMQP clients until the server stops. Each runs in a task of its own, which holds a copy of `alive`.
pub(crate) async fn serve_amqp(node: Arc<Node>, listener: TcpListener, alive: mpsc::Sender<()>) {
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            _ = node.lifecycle.ended() => return,
        };
        // Answers are written whole; waiting for more to put into a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "client left at once");
            continue;
        }
        let (node, alive) = (Arc::clone(&node), alive.clone());
        tokio::spawn(async move {
            Connection::serve(&node, stream, peer).await;
            drop(alive);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(addresses: &[&str], asked_for: bool) -> Listen {
        Listen { addresses: addresses.iter().map(|address| (*address).to_owned()).collect(), asked_for }
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_its_setting() {
        let first = listen_on("amqp.listen", &listen(&["127.0.0.1:0"], true)).await.unwrap();
        let address = first[0].local_addr().unwrap().to_string();
        let error = listen_on("amqp.listen", &listen(&[&address], false)).await.unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("amqp.listen") && error.contains("choose another"),
            "{error}"
        );
    }

    /// 192.0.2.1 is kept for documentation; no machine has it.
    #[tokio::test]
    async fn a_missing_address_matters_only_when_asked_for() {
        let addresses = ["127.0.0.1:0", "192.0.2.1:0"];
        assert_eq!(listen_on("http.listen", &listen(&addresses, false)).await.unwrap().len(), 1);
        assert!(listen_on("http.listen", &listen(&addresses, true)).await.is_err());
        assert!(listen_on("http.listen", &listen(&addresses[1..], false)).await.is_err());
        // Asking for none is fine: that side is off.
        assert!(listen_on("http.listen", &listen(&[], true)).await.unwrap().is_empty());
    }
}
