//! What can be asked: a file for each endpoint.

mod call;
mod cancel_task;
mod complete_lease;
mod extend_lease;
mod fail_lease;
mod lease_path;
mod openapi;
mod pins;
mod publish;
mod queues;
mod release_lease;
mod settlement;
mod show_result;
mod show_task;
mod stream_events;
mod take_leases;
mod tasks;

pub(crate) use openapi::openapi;

use crate::problem::{Answer, Problem};
use crate::request::Asked;
use crate::router::Endpoint;

/// Answers a request of a user who is logged in. Each is boxed, so that a request takes the room that it needs and not
/// that of the largest.
pub(crate) async fn answer(endpoint: Endpoint, asked: Asked) -> Answer {
    asked.check_query(endpoint.parameters())?;
    match endpoint {
        Endpoint::AddTasks => Box::pin(tasks::answer(asked)).await,
        Endpoint::Call => Box::pin(call::answer(asked)).await,
        Endpoint::ShowTask => Box::pin(show_task::answer(asked)).await,
        Endpoint::ShowResult => Box::pin(show_result::answer(asked)).await,
        Endpoint::StreamEvents => Box::pin(stream_events::answer(asked)).await,
        Endpoint::CancelTask => Box::pin(cancel_task::answer(asked)).await,
        Endpoint::TakeLeases => Box::pin(take_leases::answer(asked)).await,
        Endpoint::ExtendLease => Box::pin(extend_lease::answer(asked)).await,
        Endpoint::CompleteLease => Box::pin(complete_lease::answer(asked)).await,
        Endpoint::FailLease => Box::pin(fail_lease::answer(asked)).await,
        Endpoint::ReleaseLease => Box::pin(release_lease::answer(asked)).await,
        Endpoint::Publish => Box::pin(publish::answer(asked)).await,
        Endpoint::ShowPins => Box::pin(pins::answer(asked)).await,
        Endpoint::PutQueue => Box::pin(queues::put(asked)).await,
        Endpoint::ShowQueue => Box::pin(queues::show(asked)).await,
        Endpoint::DeleteQueue => Box::pin(queues::delete(asked)).await,
        Endpoint::Health | Endpoint::Metrics | Endpoint::OpenApi => {
            Err(Problem::internal("a page that needs no user came to the endpoints that do"))
        }
    }
}
