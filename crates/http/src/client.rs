//! One connection of HTTP, as its requests share it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use field_table::ShortString;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::HeaderName;

use crate::activity::Activity;
use crate::authentication::Credentials;
use crate::line::Line;
use crate::problem::Problem;
use crate::service::Service;

/// What the requests of one connection share.
pub(crate) struct Client {
    service: Arc<Service>,
    peer: SocketAddr,
    activity: Arc<Activity>,
    lines: Mutex<Lines>,
}

/// One for each user and virtual host that was asked for. A few at most, so a list.
#[derive(Default)]
struct Lines {
    list: Vec<Arc<Line>>,
    is_closed: bool,
}

/// The header that chooses a virtual host.
const VHOST: HeaderName = HeaderName::from_static("vhost");

/// How long the end of a connection waits for its requests to notice.
const FAREWELL: Duration = Duration::from_secs(5);

impl Client {
    /// A new connection from `peer`.
    pub(crate) fn new(service: Arc<Service>, peer: SocketAddr) -> Self {
        Self { service, peer, activity: Arc::default(), lines: Mutex::default() }
    }

    /// What all connections share.
    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// What happens on the connection.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Lets the user of a request in and finds the line to the virtual host that it asks.
    ///
    /// # Errors
    /// 401; 404 `vhost-not-found`; 503 when the server stops or has failed.
    pub(crate) fn line(&self, headers: &HeaderMap) -> Result<Arc<Line>, Problem> {
        let Credentials { user, password } = Credentials::of(headers)?;
        let backend = self.service.backend();
        backend.authenticate(&user, &password, self.peer).map_err(|_refused| {
            Problem::unauthorized("the name or the password is wrong, or the user may not log in from there")
        })?;
        let asked = headers.get(VHOST).map(|name| name.as_bytes());
        let host = backend.host(asked).ok_or_else(|| vhost_not_found(asked))?;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_closed {
            return Err(crate::line::unavailable(&backend.condition()));
        }
        if let Some(line) = lines.list.iter().find(|line| line.is_of(&user, host.name())) {
            return Ok(Arc::clone(line));
        }
        // Who logged in has a name that fits: it stands in the settings.
        let line = Line::connect(Arc::clone(backend), host, ShortString::from_text_cut(&user));
        lines.list.push(Arc::clone(&line));
        Ok(line)
    }

    /// From now on nobody is answered; those who wait are told.
    pub(crate) fn stop(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.is_closed = true;
        lines.list.iter().for_each(|line| line.board().close());
    }

    /// Leaves the core, when the socket is gone.
    pub(crate) async fn leave(&self) {
        // Requests of HTTP/2 run in tasks of their own and take back what they asked for when they notice.
        let _ = tokio::time::timeout(FAREWELL, self.activity.idle()).await;
        let lines = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.is_closed = true;
            std::mem::take(&mut lines.list)
        };
        for line in lines {
            line.leave().await;
        }
    }
}

/// However the connection ends, by a panic too, the core forgets it.
impl Drop for Client {
    fn drop(&mut self) {
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        lines.list.drain(..).for_each(|line| line.disconnect());
    }
}

fn vhost_not_found(name: Option<&[u8]>) -> Problem {
    let detail = match name {
        Some(name) => {
            format!("there is no virtual host '{}'; see the setting vhosts", String::from_utf8_lossy(name))
        }
        None => "there are several virtual hosts and none is '/'; name one in the header Vhost".to_owned(),
    };
    Problem::new(StatusCode::NOT_FOUND, "vhost-not-found", "No such virtual host", detail)
}
