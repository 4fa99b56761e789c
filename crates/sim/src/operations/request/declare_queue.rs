//! A task queue is declared.

use broker::{DeclareQueue, Standalone};
use field_table::{Table, Value};

use crate::client::name;
use crate::operations::BRIEF;
use crate::requester::Asking;

/// Declares the one that comes and goes. Always in the same way, so that it is never refused.
pub fn brief(asking: &mut Asking<'_>) {
    let arguments: Table = [(name("x-task-queue"), Value::Bool(true))].into_iter().collect();
    asking.ask(Standalone::DeclareQueue(DeclareQueue {
        name: name(BRIEF),
        generated: false,
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments,
    }));
}
