//! What the cases have in common: connections in a known state, and what they look for in the end.

use std::time::Duration;

use amqp_wire::{ProtocolHeader, channel, connection};
use anyhow::{Context, Result, bail};
use testkit::amqp::{Endpoint, Handshake, Peer};

/// Servers may hold a refused connection for 3 s before they let go (a brake for guessers), so wait longer.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// A TCP connection on which nothing has been said.
pub(super) fn silent(endpoint: &Endpoint) -> Result<Peer> {
    let mut peer = Peer::dial(&endpoint.address)?;
    peer.set_wait_max(WAIT_MAX)?;
    Ok(peer)
}

/// A connection that is ready, with channel 1 open.
pub(super) fn ready(endpoint: &Endpoint) -> Result<Peer> {
    ready_with(endpoint, &Handshake::default())
}

/// As [`ready`], with a handshake of the case's own.
pub(super) fn ready_with(endpoint: &Endpoint, handshake: &Handshake) -> Result<Peer> {
    let mut peer = Peer::open_with(endpoint, handshake)?;
    peer.set_wait_max(WAIT_MAX)?;
    peer.open_channel(1)?;
    Ok(peer)
}

/// The server sends its protocol header, raw, and ends the connection.
pub(super) fn expect_protocol_header(mut peer: Peer) -> Result<()> {
    let said = peer.expect_end()?;
    if said != ProtocolHeader::AMQP_0_9_1 {
        bail!(
            "expected the protocol header AMQP 0 0 9 1 and the end, got {:?}",
            String::from_utf8_lossy(&said)
        );
    }
    Ok(())
}

/// The server closes the connection with this code and a text that begins so; then, answered or not, TCP ends.
pub(super) fn expect_connection_close(mut peer: Peer, code: u16, text_start: &str) -> Result<()> {
    let close: connection::Close =
        peer.expect(0).with_context(|| format!("waiting for connection.close {code}"))?;
    let text = close.reply_text.to_string();
    if close.reply_code != code || !text.starts_with(text_start) {
        bail!("expected connection.close {code} {text_start}..., got {} {text}", close.reply_code);
    }
    match peer.send(0, connection::CloseOk {}) {
        Err(error) if !error.is_disconnect() => return Err(error.into()),
        _ => {}
    }
    peer.expect_end()?;
    Ok(())
}

/// The server closes channel 1 with this code and text; the connection stays usable.
pub(super) fn expect_channel_close(peer: &mut Peer, code: u16, text: &str) -> Result<()> {
    let close: channel::Close =
        peer.expect(1).with_context(|| format!("waiting for channel.close {code}"))?;
    if (close.reply_code, &*close.reply_text.to_string()) != (code, text) {
        bail!("expected channel.close {code} {text}, got {} {}", close.reply_code, close.reply_text);
    }
    Ok(())
}

/// The server ends TCP, whatever it says before.
pub(super) fn expect_end(mut peer: Peer) -> Result<()> {
    peer.expect_end()?;
    Ok(())
}

/// Sending may fail when the server has had enough already.
pub(super) fn send_while_heard(peer: &mut Peer, bytes: &[u8]) -> Result<()> {
    match peer.send_raw(bytes) {
        Err(error) if !error.is_disconnect() => Err(error.into()),
        _ => Ok(()),
    }
}
