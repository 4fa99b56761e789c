//! Limits of unacked deliveries.

use crate::broker::{Broker, Reply, Request, Resume};
use crate::effect::Answer;
use crate::session::session_mut;

impl Broker {
    pub(crate) fn set_prefetch(&mut self, request: Request, count: u16, shared: bool) -> Reply {
        if let Some(session) = session_mut(&mut self.connections, request.session) {
            if shared {
                session.shared_prefetch = count;
                self.to_resume.push_back(Resume::Session(request.session));
            } else {
                session.consumer_prefetch = count;
            }
        }
        Ok(Some(Answer::PrefetchSet))
    }
}
