//! Where a broker listens and how to log in.

use std::fmt;
use std::str::FromStr;

/// Address, credentials and virtual host, as an `amqp://` URL has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`.
    pub address: String,
    /// Default `guest`.
    pub user: String,
    /// Default `guest`.
    pub password: String,
    /// Default `/`.
    pub virtual_host: String,
}

/// An `amqp://` URL that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{url}` is no AMQP URL ({reason}); write amqp://USER:PASSWORD@HOST:PORT/VHOST, all but HOST may be left out"
)]
pub struct EndpointError {
    url: String,
    reason: &'static str,
}

impl Endpoint {
    /// The default user and virtual host at `address` (`host:port`).
    pub fn guest(address: impl fmt::Display) -> Self {
        let guest = || "guest".to_owned();
        Self { address: address.to_string(), user: guest(), password: guest(), virtual_host: "/".to_owned() }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let refuse = |reason| EndpointError { url: url.to_owned(), reason };
        let rest = url.strip_prefix("amqp://").ok_or_else(|| refuse("it does not start with amqp://"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
        let (user, password) = login.split_once(':').ok_or_else(|| refuse("the user has no password"))?;
        if address.is_empty() {
            return Err(refuse("it names no host"));
        }
        let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { address.to_owned() } else { format!("{address}:5672") };
        let virtual_host = match path {
            "" => "/".to_owned(),
            path => path.replace("%2F", "/").replace("%2f", "/"),
        };
        Ok(Self { address, user: user.to_owned(), password: password.to_owned(), virtual_host })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, user, password, virtual_host } = self;
        write!(formatter, "amqp://{user}:{password}@{address}")?;
        // The default virtual host is what clients take when the URL has no path.
        if virtual_host != "/" {
            write!(formatter, "/{}", virtual_host.replace('/', "%2F"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, address: &str, user: &str, virtual_host: &str) {
        let endpoint: Endpoint = url.parse().unwrap();
        assert_eq!((&*endpoint.address, &*endpoint.user), (address, user));
        assert_eq!(endpoint.virtual_host, virtual_host);
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }

    #[test]
    fn parts_that_are_left_out_have_defaults() {
        check("amqp://localhost", "localhost:5672", "guest", "/");
        check("amqp://me:secret@[::1]:7/", "[::1]:7", "me", "/");
        check("amqp://me:secret@h:1/%2F", "h:1", "me", "/");
        check("amqp://h/mine", "h:5672", "guest", "mine");
    }

    #[test]
    fn nonsense_is_refused() {
        for url in ["http://x", "amqp://", "amqp://me@host", ""] {
            assert!(url.parse::<Endpoint>().is_err(), "{url}");
        }
    }
}
