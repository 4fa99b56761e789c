//! Class access: tickets of AMQP 0-8, which old clients still ask for.

use amqp_wire::access::{Method, RequestOk};
use broker::Refusal;

use super::{Action, unimplemented_method};

/// Any ticket will do: nobody looks at it.
const TICKET: u16 = 1;

pub(super) fn translate(method: &Method) -> Result<Action, Refusal> {
    match method {
        Method::Request(_) => Ok(Action::Answer(RequestOk { ticket: TICKET }.into())),
        Method::RequestOk(_) => Err(unimplemented_method()),
    }
}
