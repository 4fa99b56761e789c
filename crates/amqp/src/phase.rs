//! Where a connection stands.

use broker::Timestamp;

/// Where a connection stands.
///
/// ```text
///             header            start-ok                   login good
/// Greeting ─────────▶ Starting ─────────▶ Authenticating ─────────────▶ Tuning
///                         │                     │ login bad               │ tune-ok
///                         ▼                     ▼                         ▼      open
///                     Punished ◀──────────── Punished / Closing        Opening ──────▶ OpeningVhost
///                         │                                               │  error         │ vhost good
///                         ▼      close-ok, or too late                    ▼                ▼
///                       Ended ◀─────────────────────────────────────── Closing ◀──────  Running
///                         ▲                                                     error      │ client's close
///                         └─ closed, or too late ─ Closing ◀─ let go ─ Leaving ◀───────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The protocol header is awaited.
    Greeting,
    /// `connection.start` is sent, `start-ok` awaited.
    Starting,
    /// The shell was asked whether the login is good.
    Authenticating,
    /// `connection.tune` is sent, `tune-ok` awaited.
    Tuning,
    /// `connection.open` is awaited.
    Opening,
    /// The shell was asked to open the vhost.
    OpeningVhost,
    /// Channels may be used.
    Running,
    /// Our `connection.close` is sent and `close-ok` awaited, or the client's is answered and the client closes.
    Closing {
        /// How long.
        until: Timestamp,
        /// The byte stream can't be followed any more: nothing is read, only time ends this.
        is_deaf: bool,
    },
    /// The client has sent `connection.close`; its `close-ok` waits until the vhost has let go of the connection.
    Leaving {
        /// How long.
        until: Timestamp,
    },
    /// Said or asked something wrong before it was trusted: kept waiting without a word, against guessing.
    Punished {
        /// How long.
        until: Timestamp,
    },
    /// Nothing more is read or written.
    Ended,
}

impl Phase {
    /// Whether the handshake still goes on, and its time limit holds.
    pub(crate) fn is_handshake(self) -> bool {
        matches!(
            self,
            Self::Greeting
                | Self::Starting
                | Self::Authenticating
                | Self::Tuning
                | Self::Opening
                | Self::OpeningVhost
        )
    }

    /// RabbitMQ's name of the phase, as its texts show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Greeting => "pre_init",
            Self::Starting => "starting",
            Self::Authenticating => "securing",
            Self::Tuning => "tuning",
            Self::Opening | Self::OpeningVhost => "opening",
            Self::Running => "running",
            Self::Leaving { .. } => "closing",
            Self::Closing { .. } | Self::Punished { .. } | Self::Ended => "closed",
        }
    }
}
