//! Confirms and transactions.

use std::collections::{BTreeMap, BTreeSet};

use field_table::ShortString;

use crate::broker::{Broker, Reply, Request};
use crate::command::{Outcome, Publish};
use crate::effect::Answer;
use crate::output::Output;
use crate::session::{Mode, Session, session_mut};
use crate::task::{LeaseId, TaskOptions};
use crate::transaction::Transaction;
use crate::unacked::Delivery;
use crate::{QueueNumber, Refusal, SessionId};

/// What the publishes of a transaction, checked so far, will do to tasks.
#[derive(Debug, Default)]
struct Plan {
    routed: Vec<QueueNumber>,
    /// Tasks that queues will have more.
    more: BTreeMap<QueueNumber, u64>,
    /// Idempotency keys that queues will know.
    keys: BTreeSet<(QueueNumber, ShortString)>,
    /// Deliveries that will be answered.
    answered: BTreeSet<LeaseId>,
}

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
        let checked = self.check_commit(request, &open);
        let checked =
            checked.and_then(|()| self.check_room(request.session.connection, &open.publishes, out));
        if let Err(refusal) = checked {
            // The session ends by it, and gives all back that it holds.
            self.hold_again(request.session, open);
            return Err(refusal);
        }
        for publish in &open.publishes {
            // What could be refused was checked before.
            self.accept(request.now, request.session, publish, out)?;
        }
        for alike in open.settlements.chunk_by(|one, next| one.1 == next.1) {
            let mut deliveries: Vec<_> = alike.iter().map(|(delivery, _)| *delivery).collect();
            self.settle_deliveries(request, &mut deliveries, alike[0].1, out);
            self.return_credit(request.session, &deliveries);
        }
        Ok(Some(Answer::Committed))
    }

    /// Forgets what was collected. Settled deliveries are unacked again, and not redelivered.
    pub(crate) fn rollback(&mut self, request: Request) -> Reply {
        let open = self.take_transaction(request)?;
        self.hold_again(request.session, open);
        Ok(Some(Answer::RolledBack))
    }

    /// What a transaction has settled is unacked again.
    fn hold_again(&mut self, session: SessionId, open: Transaction) {
        if let Some(session) = session_mut(&mut self.connections, session) {
            session.unacked.put_back(open.settlements.into_iter().map(|(delivery, _)| delivery));
        }
    }

    /// Everything in it has to be possible before anything is done (promise P6).
    fn check_commit(&mut self, request: Request, open: &Transaction) -> Result<(), Refusal> {
        if self.tasks.queues == 0 {
            return Ok(());
        }
        let mut plan = Plan::default();
        for publish in &open.publishes {
            self.check_publish(request, publish, &mut plan)?;
        }
        let is_stale = |(delivery, _): &(Delivery, Outcome)| self.is_stale(request.session, delivery);
        if open.settlements.iter().any(is_stale) { Err(Refusal::StaleReply) } else { Ok(()) }
    }

    fn check_publish(&self, request: Request, publish: &Publish, plan: &mut Plan) -> Result<(), Refusal> {
        let (exchange, key) = (publish.envelope.exchange(), publish.envelope.routing_key());
        let lease = LeaseId::of_reply_address(key).filter(|_| exchange.is_empty());
        if lease.is_some_and(|lease| self.task_held_by(lease).is_none() || !plan.answered.insert(lease)) {
            return Err(Refusal::StaleReply);
        }
        plan.routed.clear();
        self.route(publish, &mut plan.routed);
        for number in &plan.routed {
            let queue = &self.queues[number];
            let Some(tasks) = &queue.tasks else { continue };
            let options = TaskOptions::read(publish.envelope.properties())?;
            let is_repeated = self.task_of_key(request.now, request.session, *number, &options).is_some();
            if is_repeated || options.key.is_some_and(|key| !plan.keys.insert((*number, key))) {
                continue;
            }
            let count = plan.more.entry(*number).or_insert(0);
            *count += 1;
            tasks.check_room(&queue.definition.name, *count)?;
        }
        Ok(())
    }

    fn take_transaction(&mut self, request: Request) -> Result<Transaction, Refusal> {
        let session: Option<&mut Session> = session_mut(&mut self.connections, request.session);
        match session.map(|session| &mut session.mode) {
            Some(Mode::Transaction(open)) => Ok(std::mem::take(open)),
            _ => Err(Refusal::NotTransactional),
        }
    }
}
