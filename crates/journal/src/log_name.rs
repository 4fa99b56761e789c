//! Names of logs, fit to be folder names.

use std::fmt;
use std::sync::Arc;

/// The name of one log of a journal: 1 to 200 characters out of `a-z A-Z 0-9 _ - %`.
///
/// It becomes a folder's name, so nothing else is let through; see [`LogName::escaped`] for names from
/// outside. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Arc<str>);

impl LogName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 200;

    /// Takes a name that is already well-formed.
    ///
    /// # Errors
    /// [`LogNameError`] when it is empty, too long, or has another character than those allowed.
    pub fn new(name: &str) -> Result<LogName, LogNameError> {
        let fits = (1..=LogName::BYTES_MAX).contains(&name.len());
        if fits && name.bytes().all(|byte| is_plain(byte) || byte == b'%') {
            Ok(LogName(name.into()))
        } else {
            Err(LogNameError { name: name.into() })
        }
    }

    /// Makes a name out of any text, one name per text: other characters become `%XX`, as in a URL.
    ///
    /// # Errors
    /// [`LogNameError`] when the text is empty, or the name would be longer than [`LogName::BYTES_MAX`].
    pub fn escaped(text: &str) -> Result<LogName, LogNameError> {
        let mut name = String::with_capacity(text.len());
        for byte in text.bytes() {
            match is_plain(byte) {
                true => name.push(char::from(byte)),
                false => name.push_str(&format!("%{byte:02X}")),
            }
        }
        LogName::new(&name)
    }

    /// The text that [`LogName::escaped`] made it of, as far as it did.
    pub fn unescaped(&self) -> String {
        let (mut text, mut rest) = (Vec::new(), self.0.as_bytes());
        while let [first, after @ ..] = rest {
            let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
            text.push(code.unwrap_or(*first));
            rest = if code.is_some() { &after[2..] } else { after };
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl fmt::Display for LogName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for LogName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

/// A text that cannot name a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{name}' ({} bytes) cannot name a log: 1 to {} characters out of a-z A-Z 0-9 _ - % are needed; choose a shorter or plainer name",
    .name.len(),
    LogName::BYTES_MAX
)]
pub struct LogNameError {
    /// What was asked for, after escaping if there was any.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_keeps_names_apart_and_inside_their_folder() {
        assert_eq!(LogName::escaped("/").unwrap().as_str(), "%2F");
        assert_eq!(LogName::escaped("../a").unwrap().as_str(), "%2E%2E%2Fa");
        assert_eq!(LogName::escaped("%2F").unwrap().as_str(), "%252F");
    }

    #[test]
    fn escaped_names_are_read_back() {
        for text in ["/", "../a", "%2F", "shop", "größe", "%"] {
            assert_eq!(LogName::escaped(text).unwrap().unescaped(), text);
        }
        assert_eq!(LogName::new("50%").unwrap().unescaped(), "50%");
    }

    #[test]
    fn names_are_bounded() {
        assert!(LogName::new("").is_err());
        assert!(LogName::new("a.b").is_err());
        assert!(LogName::new(&"a".repeat(200)).is_ok());
        assert!(LogName::escaped(&"/".repeat(67)).is_err());
    }
}
