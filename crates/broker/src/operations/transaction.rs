//! Confirms and transactions.

use crate::Refusal;
use crate::broker::{Broker, Reply, Request};
use crate::effect::Answer;
use crate::output::Output;
use crate::session::{Mode, Session, session_mut};
use crate::transaction::Transaction;

impl Broker {
    pub(crate) fn select_confirm(&mut self, request: Request) -> Reply {
        let Some(session) = session_mut(&mut self.connections, request.session) else { return Ok(None) };
        match session.mode {
            Mode::Plain => session.mode = Mode::Confirm { published: 0 },
            Mode::Confirm { .. } => {}
            Mode::Transaction(_) => return Err(Refusal::TransactionToConfirm),
        }
        Ok(Some(Answer::ConfirmSelected))
    }

    pub(crate) fn select_transaction(&mut self, request: Request) -> Reply {
        let Some(session) = session_mut(&mut self.connections, request.session) else { return Ok(None) };
        match session.mode {
            Mode::Plain => session.mode = Mode::Transaction(Transaction::default()),
            Mode::Confirm { .. } => return Err(Refusal::ConfirmToTransaction),
            Mode::Transaction(_) => {}
        }
        Ok(Some(Answer::TransactionSelected))
    }

    /// Does all that was collected. Every record of it goes into the entry that is open now, and an entry is
    /// atomic, so a crash leaves all of it or nothing.
    pub(crate) fn commit(&mut self, request: Request, out: &mut Output) -> Reply {
        let open = self.take_transaction(request)?;
        for publish in &open.publishes {
            self.accept(request.now, request.session, publish, out);
        }
        for alike in open.settlements.chunk_by(|one, next| one.1 == next.1) {
            let mut deliveries: Vec<_> = alike.iter().map(|(delivery, _)| *delivery).collect();
            self.settle_deliveries(&mut deliveries, alike[0].1, out);
            self.return_credit(request.session, &deliveries);
        }
        Ok(Some(Answer::Committed))
    }

    /// Forgets what was collected. Settled deliveries are unacked again, and not redelivered.
    pub(crate) fn rollback(&mut self, request: Request) -> Reply {
        let open = self.take_transaction(request)?;
        if let Some(session) = session_mut(&mut self.connections, request.session) {
            session.unacked.put_back(open.settlements.into_iter().map(|(delivery, _)| delivery));
        }
        Ok(Some(Answer::RolledBack))
    }

    fn take_transaction(&mut self, request: Request) -> Result<Transaction, Refusal> {
        let session: Option<&mut Session> = session_mut(&mut self.connections, request.session);
        match session.map(|session| &mut session.mode) {
            Some(Mode::Transaction(open)) => Ok(std::mem::take(open)),
            _ => Err(Refusal::NotTransactional),
        }
    }
}
