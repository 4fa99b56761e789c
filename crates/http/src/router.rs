//! Which endpoint a path and a method name.

use hyper::Method;
use percent_encoding::percent_decode_str;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Whether the server is well.
    Health,
    /// The server's numbers.
    Metrics,
    /// The description of all this.
    OpenApi,
    /// Adds tasks.
    AddTasks,
    /// Adds a task and waits for its result.
    Call,
    /// A task's status.
    ShowTask,
    /// A task's result.
    ShowResult,
    /// A task's events.
    StreamEvents,
    /// Takes a task back.
    CancelTask,
    /// Takes tasks to work on.
    TakeLeases,
    /// Keeps a lease.
    ExtendLease,
    /// The work is done.
    CompleteLease,
    /// The work failed.
    FailLease,
    /// Gives a task back.
    ReleaseLease,
    /// Publishes a message.
    Publish,
    /// Tells what holds the journal's files.
    ShowPins,
    /// Declares a queue.
    PutQueue,
    /// Describes a queue.
    ShowQueue,
    /// Deletes a queue.
    DeleteQueue,
}

impl Endpoint {
    /// The parameters that its query may have.
    pub(crate) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Call => &["require_worker"],
            Self::DeleteQueue => &["if_unused", "if_empty"],
            _ => &[],
        }
    }
}

/// A path and what can be done with it.
pub(crate) struct Route {
    /// The path, with variable parts in braces.
    pub(crate) template: &'static str,
    /// Methods and what they ask.
    pub(crate) methods: &'static [(Method, Endpoint)],
}

/// All that there is.
pub(crate) static ROUTES: &[Route] = &[
    Route { template: "/healthz", methods: &[(Method::GET, Endpoint::Health)] },
    Route { template: "/metrics", methods: &[(Method::GET, Endpoint::Metrics)] },
    Route { template: "/v1/openapi.json", methods: &[(Method::GET, Endpoint::OpenApi)] },
    Route {
        template: "/v1/queues/{queue}",
        methods: &[
            (Method::GET, Endpoint::ShowQueue),
            (Method::PUT, Endpoint::PutQueue),
            (Method::DELETE, Endpoint::DeleteQueue),
        ],
    },
    Route { template: "/v1/queues/{queue}/tasks", methods: &[(Method::POST, Endpoint::AddTasks)] },
    Route { template: "/v1/queues/{queue}/call", methods: &[(Method::POST, Endpoint::Call)] },
    Route { template: "/v1/queues/{queue}/leases", methods: &[(Method::POST, Endpoint::TakeLeases)] },
    Route { template: "/v1/tasks/{id}", methods: &[(Method::GET, Endpoint::ShowTask)] },
    Route { template: "/v1/tasks/{id}/result", methods: &[(Method::GET, Endpoint::ShowResult)] },
    Route { template: "/v1/tasks/{id}/events", methods: &[(Method::GET, Endpoint::StreamEvents)] },
    Route { template: "/v1/tasks/{id}/cancel", methods: &[(Method::POST, Endpoint::CancelTask)] },
    Route { template: "/v1/leases/{id}", methods: &[(Method::PATCH, Endpoint::ExtendLease)] },
    Route { template: "/v1/leases/{id}/complete", methods: &[(Method::POST, Endpoint::CompleteLease)] },
    Route { template: "/v1/leases/{id}/fail", methods: &[(Method::POST, Endpoint::FailLease)] },
    Route { template: "/v1/leases/{id}/release", methods: &[(Method::POST, Endpoint::ReleaseLease)] },
    Route { template: "/v1/pins", methods: &[(Method::GET, Endpoint::ShowPins)] },
    Route { template: "/v1/exchanges/{exchange}/messages", methods: &[(Method::POST, Endpoint::Publish)] },
];

/// What a path and a method name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An endpoint, with the variable parts of the path, decoded.
    Endpoint(Endpoint, Vec<Vec<u8>>),
    /// The path allows other methods: these, as `Allow` lists them.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

/// Finds the endpoint. `HEAD` asks what `GET` asks.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let Some((route, variables)) =
        ROUTES.iter().find_map(|route| Some((route, variables(route.template, path)?)))
    else {
        return Found::Nothing;
    };
    let method = if method == Method::HEAD { &Method::GET } else { method };
    match route.methods.iter().find(|(possible, _)| possible == method) {
        Some((_, endpoint)) => Found::Endpoint(*endpoint, variables),
        None => Found::OtherMethods(allowed(route)),
    }
}

fn allowed(route: &Route) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for (method, _) in route.methods {
        methods.push(method.as_str());
        if method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.join(", ")
}

/// The variable parts of a path that fits the template. A part may be empty (the default exchange), and may have any
/// byte, a slash too, when it is escaped.
fn variables(template: &str, path: &str) -> Option<Vec<Vec<u8>>> {
    let (mut parts, mut variables) = (path.split('/'), Vec::new());
    for expected in template.split('/') {
        let part = parts.next()?;
        if expected.starts_with('{') {
            variables.push(percent_decode_str(part).collect());
        } else if expected != part {
            return None;
        }
    }
    parts.next().is_none().then_some(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, endpoint: Endpoint, variables: &[&[u8]]) {
        let variables = variables.iter().map(|part| part.to_vec()).collect();
        assert_eq!(find(&method, path), Found::Endpoint(endpoint, variables), "{method} {path}");
    }

    #[test]
    fn paths_are_found() {
        check(Method::POST, "/v1/queues/q/call", Endpoint::Call, &[b"q"]);
        check(Method::GET, "/v1/queues/a%2Fb%20c", Endpoint::ShowQueue, &[b"a/b c"]);
        check(Method::PUT, "/v1/queues/%ff", Endpoint::PutQueue, &[b"\xff"]);
        check(Method::HEAD, "/healthz", Endpoint::Health, &[]);
        check(Method::POST, "/v1/exchanges//messages", Endpoint::Publish, &[b""]);
        check(Method::GET, "/v1/tasks/7/events", Endpoint::StreamEvents, &[b"7"]);
    }

    #[test]
    fn other_paths_are_not() {
        for path in [
            "/",
            "",
            "/v1",
            "/v1/",
            "/v1/queues",
            "/v1/queues/a/b",
            "/v1/queues/q/call/",
            "/healthz/",
            "/V1/tasks/7",
        ] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn other_methods_are_listed() {
        let allowed = |method, path| match find(&method, path) {
            Found::OtherMethods(allowed) => allowed,
            other => panic!("{other:?}"),
        };
        assert_eq!(allowed(Method::POST, "/v1/queues/q"), "GET, HEAD, PUT, DELETE");
        assert_eq!(allowed(Method::GET, "/v1/queues/q/call"), "POST");
        assert_eq!(allowed(Method::DELETE, "/metrics"), "GET, HEAD");
    }
}
