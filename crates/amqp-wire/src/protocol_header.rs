//! The eight bytes with which a client starts.

/// What the first eight bytes of a connection say.
///
/// Only [`ProtocolHeader::is_accepted`] leads to `connection.start`. To everything else a server that speaks only
/// 0-9-1 sends [`ProtocolHeader::AMQP_0_9_1`], raw, and closes: that is how a client learns what it should speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// `AMQP 0 0 9 1`: what nearly every client sends.
    Amqp091,
    /// `AMQP 1 1 0 9`: the older writing of 0-9, which RabbitMQ treats as 0-9-1.
    Amqp09,
    /// `AMQP 3 1 0 0`: AMQP 1.0 that wants SASL first.
    Amqp10Sasl,
    /// `AMQP 0 1 0 0`: AMQP 1.0 without SASL.
    Amqp10,
    /// `AMQP 2 1 0 0`: AMQP 1.0 that wants TLS on this connection.
    Amqp10Tls,
    /// Some other version, 0-8 among them.
    OtherVersion {
        /// The four bytes after `AMQP`.
        version: [u8; 4],
    },
    /// The start of an HTTP request: the client took this port for a web server.
    Http,
    /// A TLS ClientHello on a port without TLS.
    TlsClientHello,
    /// Nothing known.
    Unknown,
}

impl ProtocolHeader {
    /// How many bytes a protocol header has.
    pub const LENGTH_BYTES: usize = 8;

    /// The header of the protocol that we speak; also the answer to each one that we do not.
    pub const AMQP_0_9_1: [u8; Self::LENGTH_BYTES] = *b"AMQP\x00\x00\x09\x01";

    /// Reads the first eight bytes of a connection.
    pub fn parse(bytes: &[u8; Self::LENGTH_BYTES]) -> Self {
        match *bytes {
            [b'A', b'M', b'Q', b'P', version @ ..] => Self::of_version(version),
            [0x16, 0x03, _, _, _, 0x01, _, _] => Self::TlsClientHello,
            [b'G', b'E', b'T', b' ', ..]
            | [b'P', b'O', b'S', b'T', b' ', ..]
            | [b'P', b'U', b'T', b' ', ..]
            | [b'H', b'E', b'A', b'D', b' ', ..] => Self::Http,
            _ => Self::Unknown,
        }
    }

    /// Whether the handshake goes on with `connection.start`.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Amqp091 | Self::Amqp09)
    }

    fn of_version(version: [u8; 4]) -> Self {
        match version {
            [0, 0, 9, 1] => Self::Amqp091,
            [1, 1, 0, 9] => Self::Amqp09,
            [3, 1, 0, 0] => Self::Amqp10Sasl,
            [0, 1, 0, 0] => Self::Amqp10,
            [2, 1, 0, 0] => Self::Amqp10Tls,
            version => Self::OtherVersion { version },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_protocols_apart() {
        let cases: [(&[u8; 8], ProtocolHeader, bool); 9] = [
            (b"AMQP\x00\x00\x09\x01", ProtocolHeader::Amqp091, true),
            (b"AMQP\x01\x01\x00\x09", ProtocolHeader::Amqp09, true),
            (b"AMQP\x03\x01\x00\x00", ProtocolHeader::Amqp10Sasl, false),
            (b"AMQP\x00\x01\x00\x00", ProtocolHeader::Amqp10, false),
            (b"AMQP\x02\x01\x00\x00", ProtocolHeader::Amqp10Tls, false),
            (b"AMQP\x01\x01\x08\x00", ProtocolHeader::OtherVersion { version: [1, 1, 8, 0] }, false),
            (b"GET / HT", ProtocolHeader::Http, false),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01", ProtocolHeader::TlsClientHello, false),
            (b"\x00\x00\x00\x00\x00\x00\x00\x00", ProtocolHeader::Unknown, false),
        ];
        for (bytes, expected, accepted) in cases {
            let header = ProtocolHeader::parse(bytes);
            assert_eq!((header, header.is_accepted()), (expected, accepted), "{bytes:?}");
        }
    }

    #[test]
    fn our_own_header_is_accepted() {
        assert!(ProtocolHeader::parse(&ProtocolHeader::AMQP_0_9_1).is_accepted());
    }
}
