//! `Idempotency-Key` (IETF draft, version 7): the same request, sent again.

use broker::IdempotencyKey;
use field_table::ShortString;
use hyper::HeaderMap;
use hyper::header::HeaderName;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// The header of a request.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header of an answer that repeats an earlier one.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A digest of what is asked for, apart from the key. Parts are told apart by their lengths.
#[derive(Clone, Default)]
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds a part.
    pub(crate) fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The key of a request, as the draft quotes it (`"order-991"`) or bare. None without the header.
///
/// # Errors
/// 400 `bad-idempotency-key` when it is empty, longer than 255 bytes, there twice, or no text.
pub(crate) fn key(
    headers: &HeaderMap,
    user: &ShortString,
    fingerprint: &Fingerprint,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = text(headers)? else { return Ok(None) };
    let fingerprint = fingerprint.clone().finish();
    Ok(Some(IdempotencyKey { user: user.clone(), key, fingerprint }))
}

/// The text of the key of a request. None without the header.
///
/// # Errors
/// As [`key`].
pub(crate) fn text(headers: &HeaderMap) -> Result<Option<ShortString>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("the header is there twice; send one"));
    }
    let text = value.to_str().map_err(|_| bad("the key has bytes that are not printable ASCII"))?;
    let key = unquoted(text.trim()).ok_or_else(|| bad("the key begins with a quote that does not end"))?;
    if key.is_empty() {
        return Err(bad("the key is empty; choose one for each thing to be done, such as a UUID"));
    }
    let short = ShortString::try_from(key.as_str())
        .map_err(|_| bad(&format!("the key has {} bytes, at most 255 fit", key.len())))?;
    Ok(Some(short))
}

/// The text of a string of structured fields (RFC 9651), or the text itself if it is not quoted.
fn unquoted(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let inner = quoted.strip_suffix('"')?;
    let (mut key, mut characters) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            '"' => return None,
            plain => key.push(plain),
        }
    }
    Some(key)
}

fn bad(detail: &str) -> Problem {
    Problem::bad_request("bad-idempotency-key", "The Idempotency-Key header can't be used", detail)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, Problem> {
        let values =
            values.iter().map(|value| (IDEMPOTENCY_KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        let key = key(&values.collect(), &ShortString::from_static("guest"), &Fingerprint::default())?;
        Ok(key.map(|key| key.key.to_string()))
    }

    #[test]
    fn keys_are_read_quoted_and_bare() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["order-991"]).unwrap().unwrap(), "order-991");
        assert_eq!(read(&["\"order-991\""]).unwrap().unwrap(), "order-991");
        assert_eq!(read(&[r#""a\"b\\c""#]).unwrap().unwrap(), r#"a"b\c"#);
        assert_eq!(read(&[&"k".repeat(255)]).unwrap().unwrap().len(), 255);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "k".repeat(256);
        for wrong in [
            &["" as &str][..],
            &["\"\""],
            &["\"open"],
            &[r#""a\b""#],
            &["\"a\"b\""],
            &["a", "b"],
            &["\u{e9}"],
            &[&long],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn parts_of_a_fingerprint_do_not_run_together() {
        let digest = |parts: &[&[u8]]| {
            let mut fingerprint = Fingerprint::default();
            parts.iter().for_each(|part| fingerprint.add(part));
            fingerprint.finish()
        };
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"ab", b"c"]), digest(&[b"ab", b"c"]));
    }
}
