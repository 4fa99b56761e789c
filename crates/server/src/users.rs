//! Who may log in, and from where.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The users of this broker.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// By name; without a hash the user can't log in by password.
    by_name: BTreeMap<String, Option<PasswordHash>>,
    loopback_only: Vec<String>,
}

/// A salted SHA-256 of a password, written as in RabbitMQ's definitions: base64 of four bytes of salt and
/// the digest of salt and password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    salt: [u8; 4],
    digest: [u8; 32],
}

/// Why a login was refused. For the log: clients are never told which of these it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// There is no such user.
    #[error("there is no such user")]
    UnknownUser,
    /// The password is another.
    #[error("the password is wrong")]
    WrongPassword,
    /// The user has no password hash.
    #[error("the user has no password and cannot log in with one")]
    Locked,
    /// The user may come from this machine only.
    #[error("the user may log in from this machine only; see the setting loopback_users")]
    LoopbackOnly,
}

/// A text that is no password hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a password hash: base64 of 36 bytes is needed, as `forebay hash-password` prints it")]
pub struct BrokenHash;

impl Users {
    /// Only `guest` with the password `guest`.
    #[must_use]
    pub fn with_guest() -> Self {
        // The password is known to everyone, so the salt may be, too.
        let guest = PasswordHash::new(b"guest", *b"guys");
        Self { by_name: BTreeMap::from([("guest".to_owned(), Some(guest))]), loopback_only: Vec::new() }
    }

    /// Adds a user or replaces one; without a hash the user can't log in by password.
    pub fn insert(&mut self, name: &str, hash: Option<PasswordHash>) {
        self.by_name.insert(name.to_owned(), hash);
    }

    /// Names those who may log in from this machine only.
    pub fn set_loopback_only(&mut self, names: Vec<String>) {
        self.loopback_only = names;
    }

    /// Those who may log in from this machine only.
    #[must_use]
    pub fn loopback_only(&self) -> &[String] {
        &self.loopback_only
    }

    /// Lets a user in, or says why not. One SHA-256 of the password.
    ///
    /// # Errors
    /// [`LoginRefusal`], for the log alone.
    pub fn authenticate(&self, name: &str, password: &[u8], peer: IpAddr) -> Result<(), LoginRefusal> {
        let hash = self.by_name.get(name).ok_or(LoginRefusal::UnknownUser)?;
        let hash = hash.as_ref().ok_or(LoginRefusal::Locked)?;
        if !hash.matches(password) {
            return Err(LoginRefusal::WrongPassword);
        }
        if !is_loopback(peer) && self.loopback_only.iter().any(|only| only == name) {
            return Err(LoginRefusal::LoopbackOnly);
        }
        Ok(())
    }
}

impl PasswordHash {
    /// Hashes a password. The salt has to be random; equal passwords then have different hashes.
    #[must_use]
    pub fn new(password: &[u8], salt: [u8; 4]) -> Self {
        let digest = Sha256::new().chain_update(salt).chain_update(password).finalize().into();
        Self { salt, digest }
    }

    /// Whether it is the hash of this password. Takes the same time for every wrong one.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> bool {
        Self::new(password, self.salt).digest.ct_eq(&self.digest).into()
    }
}

impl FromStr for PasswordHash {
    type Err = BrokenHash;

    fn from_str(text: &str) -> Result<Self, BrokenHash> {
        let bytes = BASE64.decode(text).map_err(|_| BrokenHash)?;
        let (salt, digest) = bytes.split_first_chunk().ok_or(BrokenHash)?;
        Ok(Self { salt: *salt, digest: digest.try_into().map_err(|_| BrokenHash)? })
    }
}

impl std::fmt::Display for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = [0; 36];
        bytes[..4].copy_from_slice(&self.salt);
        bytes[4..].copy_from_slice(&self.digest);
        formatter.write_str(&BASE64.encode(bytes))
    }
}

/// Hashes can be attacked offline, so they stay out of logs.
impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash(..)")
    }
}

/// An IPv4 address may come in the clothes of IPv6 where a listener takes both.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn users() -> Users {
        let mut users = Users::with_guest();
        users.set_loopback_only(vec!["guest".to_owned()]);
        users.insert("alice", Some(PasswordHash::new(b"secret", [1, 2, 3, 4])));
        users.insert("robot", None);
        users
    }

    #[test]
    fn guest_comes_from_this_machine_only() {
        assert_eq!(users().authenticate("guest", b"guest", NEAR), Ok(()));
        assert_eq!(users().authenticate("guest", b"guest", "::ffff:127.0.0.1".parse().unwrap()), Ok(()));
        assert_eq!(users().authenticate("guest", b"guest", FAR), Err(LoginRefusal::LoopbackOnly));
    }

    #[test]
    fn passwords_are_checked() {
        assert_eq!(users().authenticate("alice", b"secret", FAR), Ok(()));
        assert_eq!(users().authenticate("alice", b"secreT", FAR), Err(LoginRefusal::WrongPassword));
        assert_eq!(users().authenticate("alice", b"", FAR), Err(LoginRefusal::WrongPassword));
        assert_eq!(users().authenticate("robot", b"", FAR), Err(LoginRefusal::Locked));
        assert_eq!(users().authenticate("mallory", b"", FAR), Err(LoginRefusal::UnknownUser));
    }

    /// The example of RabbitMQ's own documentation.
    #[test]
    fn hashes_of_rabbitmq_work() {
        let text = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
        let hash: PasswordHash = text.parse().unwrap();
        assert!(hash.matches(b"test12"));
        assert!(!hash.matches(b"test13"));
        assert_eq!(hash.to_string(), text);
    }

    #[test]
    fn other_texts_are_no_hashes() {
        for text in ["", "guest", "AAAA", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PORAA=="] {
            assert_eq!(text.parse::<PasswordHash>(), Err(BrokenHash), "{text}");
        }
    }
}
