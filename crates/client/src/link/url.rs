//! Addresses of brokers, as `amqp://user:password@host:port/vhost`.

use std::fmt;
use std::str::FromStr;

/// Where a broker is, and who to be there.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// `host:port`; port 5672 if none is given.
    pub address: String,
    /// The user; `guest` if none is given.
    pub user: String,
    /// The password; `guest` if none is given.
    pub password: String,
    /// The virtual host; `/` if none is given.
    pub vhost: String,
}

/// A text that is no address of a broker. The text itself may hold a password and is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address is not of the form amqp://user:password@host:port/vhost: {problem}")]
pub struct UrlError {
    problem: &'static str,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        parse(text).map_err(|problem| UrlError { problem })
    }
}

/// Passwords stay out of logs.
impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "amqp://{}@{}/{}", self.user, self.address, self.vhost)
    }
}

fn parse(text: &str) -> Result<Url, &'static str> {
    let rest = text.strip_prefix("amqp://").ok_or("it has to begin with amqp:// (there is no TLS yet)")?;
    let (authority, vhost) = match rest.split_once('/') {
        Some((authority, "")) => (authority, "/".to_owned()),
        Some((authority, vhost)) => (authority, decode(vhost)?),
        None => (rest, "/".to_owned()),
    };
    let (login, host) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
    let (user, password) = login.split_once(':').ok_or("a user needs a password behind a colon")?;
    if vhost.len() > 255 {
        return Err("the name of a virtual host has at most 255 bytes");
    }
    Ok(Url { address: with_port(host)?, user: decode(user)?, password: decode(password)?, vhost })
}

fn with_port(host: &str) -> Result<String, &'static str> {
    let (name, port) = match host.rsplit_once(':') {
        // The colons of [::1] are its own.
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, "5672"),
    };
    let name = if name.is_empty() { "127.0.0.1" } else { name };
    let port: u16 = port.parse().map_err(|_| "the port has to be a number up to 65535")?;
    Ok(format!("{name}:{port}"))
}

/// Resolves `%2F` and the like.
fn decode(text: &str) -> Result<String, &'static str> {
    const BROKEN: &str = "a '%' has to be followed by two hexadecimal digits, and the result to be UTF-8";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>().ok_or(BROKEN)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(BROKEN);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| BROKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, address: &str, user: &str, password: &str, vhost: &str) {
        let url: Url = text.parse().unwrap();
        assert_eq!(
            (&*url.address, &*url.user, &*url.password, &*url.vhost),
            (address, user, password, vhost),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        check("amqp://", "127.0.0.1:5672", "guest", "guest", "/");
        check("amqp://mq", "mq:5672", "guest", "guest", "/");
        check("amqp://mq:7/", "mq:7", "guest", "guest", "/");
        check("amqp://a:b@mq:1/%2F", "mq:1", "a", "b", "/");
        check("amqp://a:b%40c@[::1]/shop", "[::1]:5672", "a", "b@c", "shop");
    }

    #[test]
    fn others_are_refused() {
        for text in ["mq", "http://mq", "amqp://mq:x", "amqp://mq/%4", "amqp://mq/%GG", "amqp://u@mq"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: Url = "amqp://a:secret@mq/".parse().unwrap();
        assert!(!format!("{url:?}").contains("secret"));
    }
}
