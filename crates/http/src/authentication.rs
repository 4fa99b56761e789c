//! `Authorization`: who asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use crate::problem::Problem;

/// Name and password of a request. Not `Debug`: it never goes into a log.
pub(crate) struct Credentials {
    /// The user's name.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: Vec<u8>,
}

/// Longest name and password together, in bytes, encoded: more is nobody's.
const ENCODED_BYTES_MAX: usize = 2048;

impl Credentials {
    /// Reads `Authorization: Basic` (RFC 7617).
    ///
    /// # Errors
    /// 401 when it is missing, of another scheme, or does not parse.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let value = headers
            .get(AUTHORIZATION)
            .ok_or_else(|| Problem::unauthorized("send the name and password of a user by HTTP Basic"))?;
        value.to_str().ok().and_then(Self::parse).ok_or_else(|| {
            Problem::unauthorized("the Authorization header is no HTTP Basic of name:password")
        })
    }

    fn parse(value: &str) -> Option<Self> {
        let (scheme, encoded) = value.split_once(' ')?;
        let encoded = encoded.trim();
        if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > ENCODED_BYTES_MAX {
            return None;
        }
        let decoded = BASE64.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let user = String::from_utf8(decoded[..colon].to_vec()).ok()?;
        Some(Self { user, password: decoded[colon + 1..].to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_read() {
        for (value, user, password) in [
            ("Basic Z3Vlc3Q6Z3Vlc3Q=", "guest", "guest"),
            ("bAsIc  YTpiOmM=", "a", "b:c"),
            ("Basic Og==", "", ""),
        ] {
            let found = Credentials::parse(value).unwrap();
            assert_eq!((found.user.as_str(), found.password.as_slice()), (user, password.as_bytes()));
        }
    }

    #[test]
    fn other_things_are_not() {
        let long = format!("Basic {}", "A".repeat(4096));
        for value in
            ["", "Basic", "Basic !!!", "Basic Z3Vlc3Q=", "Bearer Z3Vlc3Q6Z3Vlc3Q=", "Basic /zo=", &long]
        {
            assert!(Credentials::parse(value).is_none(), "{value}");
        }
    }
}
