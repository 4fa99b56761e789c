//! Lines that are shared by those who need one for a moment.

use std::sync::Mutex;
use std::time::Duration;

use super::{Access, Answer, Connection, HttpError, Request};

/// Keeps lines that are not in use. There are as many as there were requests at once.
#[derive(Debug)]
pub(crate) struct Pool {
    access: Access,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// A pool without lines.
    pub(crate) fn new(access: Access) -> Self {
        Self { access, idle: Mutex::default() }
    }

    /// Asks once, as [`Connection::ask`] does.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn ask(&self, request: &Request, patience: Duration) -> Result<Answer, HttpError> {
        let mut connection = self.take().unwrap_or_else(|| Connection::new(self.access.clone()));
        let answer = connection.ask(request, patience).await?;
        self.put_back(connection);
        Ok(answer)
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().expect("nothing panics while it holds the idle lines").pop()
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().expect("nothing panics while it holds the idle lines").push(connection);
    }
}
