//! Who is at the other end.

use amqp_wire::connection;
use field_table::{ShortString, Table, Value};

/// What is known of the client, for logs and lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The user, once it is said. Checked only when the connection has got beyond the login.
    pub user: String,
    /// The virtual host, once it is chosen.
    pub vhost: ShortString,
    /// The SASL mechanism of the login; empty before.
    pub mechanism: &'static str,
    /// The name that the client gave itself in its properties.
    pub connection_name: Option<String>,
    /// What the client says of itself, as sent.
    pub properties: Table,
    /// What the client can take.
    pub capabilities: Capabilities,
    /// May put other users' names on its messages.
    pub(crate) may_impersonate: bool,
}

/// Extensions that the client says it can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Wants to be told of a failed login by `connection.close`.
    pub authentication_failure_close: bool,
    /// Wants `basic.cancel` when a consumer ends without its doing.
    pub consumer_cancel_notify: bool,
    /// Wants `connection.blocked` and `connection.unblocked`.
    pub connection_blocked: bool,
}

impl Client {
    /// Remembers what `start-ok` says.
    pub(crate) fn introduce(&mut self, start_ok: &connection::StartOk) {
        let properties = &start_ok.client_properties;
        let name = properties.get(b"connection_name").and_then(Value::as_str_bytes);
        self.connection_name = name.map(|name| String::from_utf8_lossy(name).into_owned());
        self.capabilities = Capabilities::of(properties);
        self.properties = properties.clone();
    }
}

impl Capabilities {
    fn of(properties: &Table) -> Self {
        let capabilities = properties.get(b"capabilities").and_then(Value::as_table);
        let has =
            |name: &str| capabilities.and_then(|table| table.get(name.as_bytes())?.as_bool()) == Some(true);
        Self {
            authentication_failure_close: has("authentication_failure_close"),
            consumer_cancel_notify: has("consumer_cancel_notify"),
            connection_blocked: has("connection.blocked"),
        }
    }
}
