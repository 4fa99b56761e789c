//! Sessions open and close.

use crate::broker::{Broker, Request};
use crate::effect::{Answer, Effect, Recipient};
use crate::operations::task::Back;
use crate::output::Output;
use crate::session::{Mode, Session, session_mut};
use crate::{Refusal, SessionId, Timestamp};

impl Broker {
    pub(crate) fn open_session(&mut self, request: Request, out: &mut Output) {
        // The front end never opens a session twice; if it did, what the first one holds would be lost with it.
        self.end_session(request.now, request.session, Back::Released, out);
        let Some(connection) = self.connections.get_mut(&request.session.connection) else { return };
        connection.sessions.insert(request.session.channel, Session::default());
        self.counters.sessions_opened += 1;
        self.answer(request, Answer::SessionOpened, out);
    }

    pub(crate) fn close_session(&mut self, request: Request, out: &mut Output) {
        self.end_session(request.now, request.session, Back::Released, out);
        if let Some(connection) = self.connections.get_mut(&request.session.connection) {
            connection.sessions.remove(&request.session.channel);
        }
        self.answer(request, Answer::SessionClosed, out);
    }

    /// Refuses an operation: what the session holds goes back, and it takes nothing more.
    pub(crate) fn refuse(&mut self, request: Request, refusal: Refusal, out: &mut Output) {
        self.end_session(request.now, request.session, Back::Released, out);
        let effect = Effect::Refused { request: request.tag, refusal: Box::new(refusal) };
        out.effect(Recipient::Session(request.session), out.position(), effect);
    }

    /// Lets go of all that a session has: consumers, unacked deliveries, an open transaction, its replies.
    pub(crate) fn end_session(&mut self, now: Timestamp, id: SessionId, why: Back, out: &mut Output) {
        let Some(session) = session_mut(&mut self.connections, id) else { return };
        if std::mem::replace(&mut session.refused, true) {
            return;
        }
        self.counters.sessions_closed += 1;
        let consumers: Vec<_> = std::mem::take(&mut session.consumers).into_values().collect();
        let reply_consumer = session.reply_consumer.take();
        let awaited = std::mem::take(&mut session.awaited);
        let mut deliveries = std::mem::take(&mut self.scratch.deliveries);
        deliveries.clear();
        session.unacked.take_all(&mut deliveries);
        if let Mode::Transaction(open) = std::mem::take(&mut session.mode) {
            deliveries.extend(open.settlements.into_iter().map(|(delivery, _)| delivery));
            deliveries.sort_unstable_by_key(|delivery| delivery.tag);
        }
        if let Some(reply) = reply_consumer {
            self.replies.remove(&reply.address);
        }
        // Back to their places first: a queue that goes with its last consumer takes them with it.
        self.take_back(now, id, &deliveries, why, out);
        self.take_awaited_back(now, id, awaited, why, out);
        self.scratch.deliveries = deliveries;
        for consumer in consumers {
            self.remove_consumer(now, consumer, out);
        }
    }
}
