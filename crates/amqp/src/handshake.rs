//! From the first byte to an open vhost.

use amqp_wire::{Method, ProtocolHeader, ReplyCode, ShortString, Table, Value, connection};
use broker::Timestamp;
use bytes::{Buf, Bytes, BytesMut};

use crate::connection::{Connection, Turn};
use crate::error::Failure;
use crate::negotiation::Limits;
use crate::phase::Phase;
use crate::sasl::{self, Mechanism, Password};

/// What a connection has to know from its shell before it reads on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Is this user who it says? Answered by [`Connection::authenticated`].
    Authenticate {
        /// The name of the SASL mechanism, for logs.
        mechanism: &'static str,
        /// The user's name.
        user: String,
        /// What should prove it.
        password: Password,
    },
    /// May this user enter the vhost? Answered by [`Connection::vhost_opened`].
    OpenVhost {
        /// The user's name.
        user: String,
        /// The vhost's name.
        vhost: ShortString,
    },
}

/// A good login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The user may put other users' names on its messages (RabbitMQ's tag `impersonator`).
    pub may_impersonate: bool,
}

/// A login that is not good. Why is for the log of the server: the client is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRefused;

/// Why a vhost can't be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefusal {
    /// There is none of this name.
    NotFound,
    /// The user has no access to it.
    AccessRefused,
    /// It has as many connections as it may have.
    ConnectionLimit {
        /// How many.
        limit: u64,
    },
    /// The user has as many connections as it may have.
    UserConnectionLimit {
        /// How many.
        limit: u64,
    },
    /// It is there and does not work: its journal has failed, say.
    Down,
}

impl Connection {
    /// What has to be answered before [`Connection::receive`] goes on. Ask after each `receive`, and call `receive`
    /// again after the answer: the client may have sent more.
    pub fn take_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    /// Answers [`Request::Authenticate`].
    ///
    /// A refused client is told only if it says that it can take it; others see a close after three seconds, which
    /// is how older clients know.
    pub fn authenticated(
        &mut self,
        now: Timestamp,
        result: Result<Login, LoginRefused>,
        output: &mut Vec<u8>,
    ) {
        if self.phase != Phase::Authenticating {
            return;
        }
        match result {
            Ok(login) => {
                self.client.may_impersonate = login.may_impersonate;
                self.phase = Phase::Tuning;
                Method::from(Limits::offer(&self.settings)).encode_frame(output, 0);
            }
            Err(LoginRefused) if self.client.capabilities.authentication_failure_close => {
                let text = format!(
                    "Login was refused using authentication mechanism {}. For details see the broker logfile.",
                    self.client.mechanism
                );
                self.send_close(now, Failure::new(ReplyCode::AccessRefused, text), output);
            }
            Err(LoginRefused) => self.punish(now),
        }
    }

    /// Answers [`Request::OpenVhost`]. Before a good answer the broker has to know the connection.
    pub fn vhost_opened(&mut self, now: Timestamp, result: Result<(), OpenRefusal>, output: &mut Vec<u8>) {
        if self.phase != Phase::OpeningVhost {
            return;
        }
        match result {
            Ok(()) => {
                self.phase = Phase::Running;
                self.is_attached = true;
                Method::from(connection::OpenOk {}).encode_frame(output, 0);
                self.heartbeat.sent(now);
            }
            Err(refusal) => {
                let failure = self.open_failure(refusal);
                self.send_close(now, failure, output);
            }
        }
    }

    /// Looks for the protocol header. Returns whether there is more to do.
    pub(crate) fn greet(&mut self, turn: &mut Turn<'_>, input: &mut BytesMut) -> bool {
        let Some(&header) = input.first_chunk() else { return false };
        input.advance(ProtocolHeader::LENGTH_BYTES);
        if !ProtocolHeader::parse(&header).is_accepted() {
            turn.output.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
            self.phase = Phase::Ended;
            return true;
        }
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: self.server_properties(),
            mechanisms: Bytes::from_static(sasl::MECHANISMS.as_bytes()),
            locales: Bytes::from_static(b"en_US"),
        };
        Method::from(start).encode_frame(turn.output, 0);
        self.phase = Phase::Starting;
        true
    }

    pub(crate) fn start_ok(&mut self, start_ok: &connection::StartOk) -> Result<(), Failure> {
        self.client.introduce(start_ok);
        let Some(mechanism) = Mechanism::of_name(&start_ok.mechanism) else {
            let text = format!("unknown authentication mechanism '{}'", start_ok.mechanism);
            return Err(Failure::new(ReplyCode::CommandInvalid, text));
        };
        let Some(credentials) = mechanism.credentials(&start_ok.response) else {
            return Err(Failure::new(ReplyCode::SyntaxError, "the SASL response does not parse"));
        };
        self.client.mechanism = mechanism.name();
        self.client.user.clone_from(&credentials.user);
        let (user, password) = (credentials.user, credentials.password);
        self.request = Some(Request::Authenticate { mechanism: mechanism.name(), user, password });
        self.phase = Phase::Authenticating;
        Ok(())
    }

    pub(crate) fn tune_ok(&mut self, now: Timestamp, tune_ok: &connection::TuneOk) -> Result<(), Failure> {
        self.limits = Limits::agree(&self.settings, tune_ok)?;
        self.heartbeat.start(now, self.limits.heartbeat_s);
        self.phase = Phase::Opening;
        Ok(())
    }

    pub(crate) fn open(&mut self, open: connection::Open) {
        self.client.vhost = open.virtual_host.clone();
        let user = self.client.user.clone();
        self.request = Some(Request::OpenVhost { user, vhost: open.virtual_host });
        self.phase = Phase::OpeningVhost;
    }

    fn open_failure(&self, refusal: OpenRefusal) -> Failure {
        let (user, vhost) = (&self.client.user, &self.client.vhost);
        let refused = format!("access to vhost '{vhost}' refused for user '{user}'");
        let (code, text) = match refusal {
            OpenRefusal::NotFound => (ReplyCode::NotAllowed, format!("vhost {vhost} not found")),
            OpenRefusal::AccessRefused => (ReplyCode::NotAllowed, refused),
            OpenRefusal::ConnectionLimit { limit } => {
                (ReplyCode::NotAllowed, format!("{refused}: connection limit ({limit}) is reached"))
            }
            OpenRefusal::UserConnectionLimit { limit } => {
                let text = format!(
                    "connection refused for user '{user}': user connection limit ({limit}) is reached"
                );
                (ReplyCode::NotAllowed, text)
            }
            OpenRefusal::Down => (ReplyCode::InternalError, format!("{refused}: vhost '{vhost}' is down")),
        };
        Failure::new(code, text).of(connection_open_id())
    }

    fn server_properties(&self) -> Table {
        let settings = &self.settings;
        let texts = [
            ("product", &settings.product),
            ("version", &settings.version),
            ("platform", &settings.platform),
            ("copyright", &settings.copyright),
            ("information", &settings.information),
            ("cluster_name", &settings.cluster_name),
        ];
        let capabilities = CAPABILITIES.map(|name| (ShortString::from_static(name), Value::Bool(true)));
        let capabilities = Value::Table(capabilities.into_iter().collect());
        let texts = texts.map(|(name, text)| (ShortString::from_static(name), Value::text(text)));
        std::iter::once((ShortString::from_static("capabilities"), capabilities)).chain(texts).collect()
    }
}

/// What the server says that it can do beyond AMQP 0-9-1. Clients switch features on by these names.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

fn connection_open_id() -> amqp_wire::MethodId {
    <connection::Open as amqp_wire::MethodArguments>::SPEC.id
}
