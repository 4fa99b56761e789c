//! Requests that another web site makes in a visitor's name.

use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::problem::Problem;

/// What browsers say of the site that a request comes from (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that changes something and comes from the page of another origin: a browser adds a visitor's
/// credentials to it, whoever made it. Programs send neither header.
///
/// # Errors
/// 403 `cross-site`.
pub(crate) fn check(head: &Parts) -> Result<(), Problem> {
    let changes_nothing = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if changes_nothing || is_of_this_site(head) {
        return Ok(());
    }
    let detail =
        "a page of another origin may not change anything here; call from a program or from the same origin";
    Err(Problem::new(StatusCode::FORBIDDEN, "cross-site", "Request from another site", detail))
}

fn is_of_this_site(head: &Parts) -> bool {
    if let Some(site) = head.headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = head.headers.get(ORIGIN) else { return true };
    let host = head.uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| head.headers.get(HOST).and_then(|host| host.to_str().ok()));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    matches!((origin, host), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn head(method: Method, headers: &[(HeaderName, &'static str)]) -> Parts {
        let mut request = hyper::Request::builder().method(method).uri("/v1/queues/q");
        for (name, value) in headers {
            request = request.header(name, HeaderValue::from_static(value));
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let cases: &[(&[(HeaderName, &'static str)], bool)] = &[
            (&[], true),
            (&[(SEC_FETCH_SITE, "same-origin")], true),
            (&[(SEC_FETCH_SITE, "none")], true),
            (&[(SEC_FETCH_SITE, "cross-site")], false),
            (&[(SEC_FETCH_SITE, "same-site")], false),
            (&[(HOST, "mq:15672"), (ORIGIN, "http://mq:15672")], true),
            (&[(HOST, "mq:15672"), (ORIGIN, "http://mq:8080")], false),
            (&[(HOST, "mq:15672"), (ORIGIN, "https://evil.example")], false),
            (&[(HOST, "mq:15672"), (ORIGIN, "null")], false),
            (&[(ORIGIN, "http://mq")], false),
        ];
        for (headers, allowed) in cases {
            assert_eq!(check(&head(Method::POST, headers)).is_ok(), *allowed, "{headers:?}");
            assert!(check(&head(Method::GET, headers)).is_ok(), "{headers:?}");
        }
    }
}
