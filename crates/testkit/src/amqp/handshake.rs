//! How a connection starts.

use amqp_wire::{ProtocolHeader, Table, Value, connection};

use super::{Endpoint, Peer, PeerError, short};

/// What the client says while the connection is being set up.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Frame size in bytes that the client takes; at most what the server offers. Default 131072.
    pub frame_max: u32,
    /// Highest channel number. Default 2047.
    pub channel_max: u16,
    /// Heartbeat interval in seconds. Default 0, none: a scripted peer is silent while the test thinks.
    pub heartbeat_secs: u16,
    /// What the client can do. Default: RabbitMQ's extensions that clients usually announce.
    pub capabilities: Vec<&'static str>,
}

impl Default for Handshake {
    fn default() -> Self {
        Self {
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat_secs: 0,
            capabilities: vec![
                "authentication_failure_close",
                "basic.nack",
                "connection.blocked",
                "consumer_cancel_notify",
                "publisher_confirms",
            ],
        }
    }
}

impl Handshake {
    /// Goes all the way to `connection.open-ok` over a fresh TCP connection.
    ///
    /// # Errors
    /// When the broker refuses or leaves at any step.
    pub fn run(&self, peer: &mut Peer, endpoint: &Endpoint) -> Result<(), PeerError> {
        peer.send_raw(&ProtocolHeader::AMQP_0_9_1)?;
        let _: connection::Start = peer.expect(0)?;
        peer.send(0, self.start_ok(endpoint))?;
        let tune: connection::Tune = peer.expect(0)?;
        let frame_max = if tune.frame_max == 0 { self.frame_max } else { self.frame_max.min(tune.frame_max) };
        peer.set_frame_max(frame_max);
        let Self { channel_max, heartbeat_secs: heartbeat, .. } = *self;
        peer.send(0, connection::TuneOk { channel_max, frame_max, heartbeat })?;
        let open = connection::Open { virtual_host: short(&endpoint.virtual_host) };
        let connection::OpenOk {} = peer.call(0, open)?;
        Ok(())
    }

    /// The answer to `connection.start`: SASL PLAIN.
    pub fn start_ok(&self, endpoint: &Endpoint) -> connection::StartOk {
        let capabilities: Table =
            self.capabilities.iter().map(|name| (short(name), Value::Bool(true))).collect();
        let client_properties: Table = [
            (short("product"), Value::text("forebay-testkit")),
            (short("capabilities"), Value::Table(capabilities)),
        ]
        .into_iter()
        .collect();
        connection::StartOk {
            client_properties,
            mechanism: short("PLAIN"),
            response: format!("\0{}\0{}", endpoint.user, endpoint.password).into_bytes().into(),
            locale: short("en_US"),
        }
    }
}
