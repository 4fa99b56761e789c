//! Where a server is, and who to be there.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

/// Where a server is, and who to be there.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// `host:port`.
    pub(crate) address: String,
    /// The value of `Authorization`. Marked as sensitive, so that it is never printed.
    pub(crate) authorization: Option<HeaderValue>,
    /// The value of `Vhost`; none leaves the choice to the server.
    pub(crate) vhost: Option<HeaderValue>,
}

impl Access {
    /// A server that asks nobody who they are.
    pub(crate) fn anonymous(address: impl Into<String>) -> Self {
        Self { address: address.into(), authorization: None, vhost: None }
    }

    /// The API of a broker, for this user.
    pub(crate) fn new(url: &ServerUrl, login: &Login, vhost: Option<HeaderValue>) -> Self {
        Self { address: url.address.clone(), authorization: Some(login.header()), vhost }
    }
}

/// The address of an HTTP server, as `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// `host:port`.
    pub(crate) address: String,
}

const PORT: u16 = 15672;

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |problem: &str| format!("'{text}' is not of the form http://host:port: {problem}");
        let authority = text.strip_prefix("http://").ok_or_else(|| wrong("it has to begin with http://"))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#']) {
            return Err(wrong("nothing may follow the port"));
        }
        if !authority.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("a host is written in ASCII, without spaces"));
        }
        if authority.contains('@') {
            return Err(wrong("the user is said with --user"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of [::1] are its own.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong("the port has to be a number up to 65535"))?)
            }
            _ => (authority, PORT),
        };
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(Self { address: format!("{host}:{port}") })
    }
}

/// A user and a password, as `user:password`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    user: String,
    password: String,
}

impl Login {
    fn header(&self) -> HeaderValue {
        let login = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let mut value = HeaderValue::try_from(format!("Basic {login}")).expect("Base64 is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl FromStr for Login {
    type Err = String;

    /// The text is not repeated in the error: it has a password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (user, password) = text.split_once(':').ok_or("it has to be of the form user:password")?;
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

/// Passwords stay out of logs.
impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, address: &str) {
        assert_eq!(text.parse::<ServerUrl>().map(|url| url.address).as_deref(), Ok(address), "{text}");
    }

    #[test]
    fn what_is_not_said_of_an_address_has_a_default() {
        check("http://", "127.0.0.1:15672");
        check("http://mq", "mq:15672");
        check("http://mq:80/", "mq:80");
        check("http://[::1]", "[::1]:15672");
        check("http://[::1]:7", "[::1]:7");
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "mq:80",
            "https://mq",
            "http://mq:x",
            "http://mq:70000",
            "http://mq/v1",
            "http://a:b@mq",
            "http://m q",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_may_have_colons_and_is_never_shown() {
        let login: Login = "alice:a:secret".parse().unwrap();
        let access = Access::new(&"http://mq".parse().unwrap(), &login, None);
        let expected = format!("Basic {}", STANDARD.encode("alice:a:secret"));
        assert_eq!(access.authorization.clone().unwrap().to_str().unwrap(), expected);
        let shown = format!("{access:?} {login:?}");
        assert!(!shown.contains("secret") && !shown.contains("Basic"), "{shown}");
        assert!(!"nobody-secret".parse::<Login>().unwrap_err().contains("secret"));
    }
}
