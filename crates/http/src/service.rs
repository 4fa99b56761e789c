//! What all connections share, and the way of a request through it.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};

use crate::activity::UnderWay;
use crate::backend::{Backend, Condition, Page};
use crate::body::Body;
use crate::body_budget::BodyBudget;
use crate::client::Client;
use crate::endpoints;
use crate::limits::Limits;
use crate::problem::{Answer, Problem};
use crate::request::Asked;
use crate::router::{Endpoint, Found, ROUTES, find};
use crate::upload::Upload;
use crate::{line, origin};

/// The HTTP side of a server: one for all its connections.
pub struct Service {
    backend: Arc<dyn Backend>,
    limits: Limits,
    bodies: BodyBudget,
}

impl Service {
    /// A service for this backend.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, limits: Limits) -> Arc<Self> {
        let bodies = BodyBudget::new(limits.bodies_bytes_max.max(limits.body_bytes_max));
        Arc::new(Self { backend, limits, bodies })
    }

    /// The world behind it.
    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Its bounds.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Room for bodies that are being received.
    pub(crate) fn bodies(&self) -> &BodyBudget {
        &self.bodies
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Answers a request, whatever it is.
pub(crate) async fn respond(
    client: Arc<Client>,
    request: Request<Incoming>,
    under_way: UnderWay,
) -> Response<Body> {
    let is_head = request.method() == Method::HEAD;
    let answer = route(client, request).await;
    let mut response = answer.unwrap_or_else(Problem::into_response);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Body::Events(events) = response.body_mut() {
        events.keep(under_way);
    }
    if is_head {
        if let Some(bytes) = response.body().length() {
            response.headers_mut().insert(CONTENT_LENGTH, (bytes as u64).into());
        }
        *response.body_mut() = Body::empty();
    }
    response
}

async fn route(client: Arc<Client>, request: Request<Incoming>) -> Answer {
    let (head, incoming) = request.into_parts();
    let body = Upload::new(incoming, head.version);
    let (endpoint, variables) = match find(&head.method, head.uri.path()) {
        Found::Endpoint(endpoint, variables) => (endpoint, variables),
        Found::OtherMethods(allowed) => {
            return Err(Problem::method_not_allowed(&head.method, head.uri.path(), &allowed));
        }
        Found::Nothing => return Err(nothing(head.uri.path())),
    };
    let service = Arc::clone(client.service());
    match endpoint {
        Endpoint::Health => return Ok(page(service.backend.health())),
        Endpoint::Metrics => return Ok(page(service.backend.metrics())),
        Endpoint::OpenApi => return Ok(endpoints::openapi()),
        _ => {}
    }
    origin::check(&head)?;
    let condition = service.backend.condition();
    if condition != Condition::Serving {
        return Err(line::unavailable(&condition));
    }
    let (line, activity) = (client.line(&head.headers)?, Arc::clone(client.activity()));
    if body.is_complete() {
        activity.received();
    }
    // What waits needs the line alone.
    drop(client);
    endpoints::answer(endpoint, Asked { service, line, variables, head, body, activity }).await
}

fn nothing(path: &str) -> Problem {
    let there: Vec<&str> = ROUTES.iter().map(|route| route.template).collect();
    let detail = format!("there is nothing at {path}; there are {}", there.join(", "));
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Nothing here", detail)
}

/// Who looks at it, a browser too, gets text and nothing that runs.
fn page(page: Page) -> Response<Body> {
    let mut response = Response::new(Body::full(page.body));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    response
}

/// Keeps what workers and producers wrote from running in a browser.
pub(crate) fn sandbox(response: &mut Response<Body>) {
    const CONTENT_SECURITY_POLICY: HeaderName = hyper::header::CONTENT_SECURITY_POLICY;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}
