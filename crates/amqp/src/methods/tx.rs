//! Class tx: transactions.

use amqp_wire::tx::Method;
use broker::{Operation, Refusal};

use super::{Action, unimplemented_method};

pub(super) fn translate(method: &Method) -> Result<Action, Refusal> {
    match method {
        Method::Select(_) => Ok(Action::ask(Operation::SelectTransaction)),
        Method::Commit(_) => Ok(Action::ask(Operation::Commit)),
        Method::Rollback(_) => Ok(Action::ask(Operation::Rollback)),
        Method::SelectOk(_) | Method::CommitOk(_) | Method::RollbackOk(_) => Err(unimplemented_method()),
    }
}
