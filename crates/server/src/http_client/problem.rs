//! Problem documents (RFC 9457).

use std::fmt;

use serde::Deserialize;

use super::Answer;

/// Why a request failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// A path that names the kind of problem, as `/problems/queue-not-found`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The kind in a few words.
    pub(crate) title: String,
    /// What is wrong this time.
    pub(crate) detail: String,
    /// The status of the answer.
    #[serde(skip)]
    pub(crate) status: u16,
}

/// As much of an answer that is no problem document is shown, in characters.
const EXCERPT_CHARACTERS: usize = 500;

impl Problem {
    /// What the answer says is wrong. An answer in another form is told by its status and its first words.
    pub(super) fn of(answer: &Answer) -> Self {
        let parsed = answer.json::<Self>().ok().filter(|_| is_problem_document(answer.content_type()));
        let mut problem = parsed.unwrap_or_else(|| Self { detail: excerpt(&answer.body), ..Self::default() });
        problem.status = answer.status.as_u16();
        if problem.title.is_empty() {
            problem.title = answer.status.canonical_reason().unwrap_or("Error").to_owned();
        }
        problem
    }

    /// Whether it is of this kind, as `queue-not-found`.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.kind.strip_prefix("/problems/") == Some(code)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.status, self.title)?;
        if self.detail.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.detail) }
    }
}

fn is_problem_document(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|essence| essence.trim() == "application/problem+json")
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().chars().take(EXCERPT_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::*;

    fn check(status: u16, content_type: &'static str, body: &'static str, shown: &str) {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, body: body.into() };
        assert_eq!(answer.problem().to_string(), shown);
    }

    #[test]
    fn a_problem_document_is_shown_by_its_title_and_detail() {
        let body =
            r#"{"type":"/problems/task-failed","title":"Font missing","status":422,"detail":"no Arial"}"#;
        check(422, "application/problem+json; charset=utf-8", body, "422 Font missing: no Arial");
        check(404, "application/problem+json", r#"{"detail":"gone"}"#, "404 Not Found: gone");
        check(404, "application/problem+json", "{}", "404 Not Found");
    }

    #[test]
    fn anything_else_is_shown_by_its_status_and_first_words() {
        check(502, "text/html", "<h1>oops</h1>\n", "502 Bad Gateway: <h1>oops</h1>");
        check(500, "application/problem+json", "{broken", "500 Internal Server Error: {broken");
        check(500, "application/json", r#"{"detail":"x"}"#, r#"500 Internal Server Error: {"detail":"x"}"#);
    }
}
