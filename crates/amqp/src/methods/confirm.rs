//! Class confirm: publishes get answers.

use amqp_wire::confirm::Method;
use broker::{Operation, Refusal};

use super::{Action, unimplemented_method};

pub(super) fn translate(method: &Method) -> Result<Action, Refusal> {
    match method {
        Method::Select(select) => Ok(Action::ask_unless(select.no_wait, Operation::SelectConfirm)),
        Method::SelectOk(_) => Err(unimplemented_method()),
    }
}
