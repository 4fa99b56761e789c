//! SASL: who the client says it is.

use std::fmt;
use std::ops::Deref;

use field_table::Table;

/// The mechanisms offered, as `connection.start` lists them.
pub(crate) const MECHANISMS: &str = "PLAIN AMQPLAIN";

/// A way to say who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// `\0user\0password` (RFC 4616, without an authorisation identity).
    Plain,
    /// A field table without its size: `LOGIN` and `PASSWORD`, both long strings.
    Amqplain,
}

/// What a response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Password,
}

/// A password as it came over the wire. Shows itself nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Mechanism {
    /// The mechanism of this name, if it is offered.
    pub(crate) fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"PLAIN" => Some(Self::Plain),
            b"AMQPLAIN" => Some(Self::Amqplain),
            _ => None,
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Amqplain => "AMQPLAIN",
        }
    }

    /// Reads a response; `None` when it is none of this mechanism, or the name is no text.
    pub(crate) fn credentials(self, response: &[u8]) -> Option<Credentials> {
        match self {
            Self::Plain => plain(response),
            Self::Amqplain => amqplain(response),
        }
    }
}

fn plain(response: &[u8]) -> Option<Credentials> {
    let (&0, rest) = response.split_first()? else { return None };
    let user_bytes = rest.iter().position(|byte| *byte == 0)?;
    credentials(&rest[..user_bytes], &rest[user_bytes + 1..])
}

fn amqplain(response: &[u8]) -> Option<Credentials> {
    let table = Table::decode(response).ok()?;
    let text = |key: &str| table.get(key.as_bytes())?.as_str_bytes();
    credentials(text("LOGIN")?, text("PASSWORD")?)
}

fn credentials(user: &[u8], password: &[u8]) -> Option<Credentials> {
    let user = String::from_utf8(user.to_vec()).ok()?;
    Some(Credentials { user, password: Password(password.to_vec()) })
}

impl Deref for Password {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mechanism: Mechanism, response: &[u8], expected: Option<(&str, &[u8])>) {
        let found = mechanism.credentials(response);
        assert_eq!(found.as_ref().map(|found| (found.user.as_str(), &*found.password)), expected);
    }

    #[test]
    fn plain_takes_the_password_to_the_end() {
        check(Mechanism::Plain, b"\0guest\0gu\0est", Some(("guest", b"gu\0est")));
        check(Mechanism::Plain, b"\0\0", Some(("", b"")));
    }

    #[test]
    fn plain_has_no_authorisation_identity() {
        check(Mechanism::Plain, b"admin\0guest\0guest", None);
        check(Mechanism::Plain, b"\0guest", None);
        check(Mechanism::Plain, b"", None);
    }

    #[test]
    fn amqplain_is_a_table_without_its_size() {
        let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret";
        check(Mechanism::Amqplain, response, Some(("guest", b"secret")));
        check(Mechanism::Amqplain, &response[..response.len() - 1], None);
        check(Mechanism::Amqplain, b"\x05LOGINS\0\0\0\x05guest", None);
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let shown = format!("{:?}", Mechanism::Plain.credentials(b"\0guest\0secret"));
        assert!(shown.contains("guest") && !shown.contains("secret"), "{shown}");
    }
}
