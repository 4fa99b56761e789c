//! Class access: tickets of AMQP 0-8, which old clients still ask for.

use amqp_wire::access::Method;
use broker::{Operation, Refusal};

use super::{Action, unimplemented_method};

/// The ticket that everybody gets. Any will do: nobody looks at it.
pub(crate) const TICKET: u16 = 1;

pub(super) fn translate(method: &Method) -> Result<Action, Refusal> {
    match method {
        Method::Request(_) => Ok(Action::ask(Operation::Echo)),
        Method::RequestOk(_) => Err(unimplemented_method()),
    }
}
