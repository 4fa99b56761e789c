//! `GET /v1/openapi.json`: the description of all this, for programs that make clients of it.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::body::Body;

/// Written by hand; a test holds it against the routes.
static DOCUMENT: &str = include_str!("../openapi.json");

/// The description (OpenAPI 3.1).
pub(crate) fn openapi() -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from_static(DOCUMENT.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::router::ROUTES;

    #[test]
    fn it_describes_every_route_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let methods = operations.as_object().unwrap().keys().filter(|key| *key != "parameters");
            described.extend(methods.map(|method| (path.clone(), method.to_uppercase())));
        }
        let served: BTreeSet<_> = ROUTES
            .iter()
            .flat_map(|route| {
                route.methods.iter().map(|(method, _)| (route.template.to_owned(), method.to_string()))
            })
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut found = 0;
        check_references(&document, &document, &mut found);
        assert!(found > 20, "{found} references");
    }

    fn check_references(document: &Value, part: &Value, found: &mut usize) {
        match part {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                    *found += 1;
                }
                members.values().for_each(|value| check_references(document, value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| check_references(document, value, found)),
            _ => {}
        }
    }
}
