//! Class channel: flow.

use amqp_wire::ReplyCode;
use amqp_wire::channel::Method;
use broker::{Operation, Refusal};

use super::{Action, unimplemented_method};
use crate::refusal::front_end;

/// Opening and closing are done before it comes to this.
pub(super) fn translate(method: &Method) -> Result<Action, Refusal> {
    match method {
        Method::Flow(flow) if flow.active => Ok(Action::ask(Operation::Echo)),
        Method::Flow(_) => Err(front_end(ReplyCode::NotImplemented, "active=false")),
        _ => Err(unimplemented_method()),
    }
}
