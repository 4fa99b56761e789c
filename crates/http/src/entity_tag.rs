//! `ETag` and `If-None-Match`: the version of a task that a client knows.

use hyper::HeaderMap;
use hyper::header::{HeaderValue, IF_NONE_MATCH};

/// The tag of a version.
pub(crate) fn entity_tag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits and quotes")
}

/// Whether a client says that it knows this version. `*` knows every one.
pub(crate) fn is_known(headers: &HeaderMap, version: u64) -> bool {
    let tag = version.to_string();
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|known| {
            let known = known.strip_prefix("W/").unwrap_or(known);
            known == "*" || known.trim_matches('"') == tag
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_versions_are_found() {
        for (value, known) in [
            ("\"7\"", true),
            ("W/\"7\"", true),
            ("\"6\", \"7\"", true),
            ("*", true),
            ("\"8\"", false),
            ("", false),
        ] {
            let headers = [(IF_NONE_MATCH, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(is_known(&headers, 7), known, "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), 7));
        assert_eq!(entity_tag(7), "\"7\"");
    }
}
