//! Class channel: flow.

use amqp_wire::ReplyCode;
use amqp_wire::channel::{FlowOk, Method};
use broker::Refusal;

use super::{Action, unimplemented_method};
use crate::refusal::front_end;

/// Opening and closing are done before it comes to this.
pub(super) fn translate(method: &Method) -> Result<Action, Refusal> {
    match method {
        Method::Flow(flow) if flow.active => Ok(Action::Answer(FlowOk { active: true }.into())),
        Method::Flow(_) => Err(front_end(ReplyCode::NotImplemented, "active=false")),
        _ => Err(unimplemented_method()),
    }
}
