//! Exchanges are declared and deleted.

use std::collections::VecDeque;

use field_table::{ShortString, Table, Value};

use crate::broker::{Broker, Reply};
use crate::command::DeclareExchange;
use crate::effect::Answer;
use crate::equivalence::{argument, flag, text};
use crate::output::Output;
use crate::record::{Destination, ExchangeDefinition, Record};
use crate::routing::ExchangeKind;
use crate::{Refusal, Resource};

const RESERVED_PREFIX: &[u8] = b"amq.";
/// The only argument that has to agree when an exchange is declared again.
const ALTERNATE_EXCHANGE: &[u8] = b"alternate-exchange";

impl Broker {
    pub(crate) fn declare_exchange(&mut self, declare: DeclareExchange, out: &mut Output) -> Reply {
        if !declare.passive && ExchangeKind::named(&declare.kind).is_none() {
            return Err(Refusal::UnknownExchangeType { kind: declare.kind });
        }
        if declare.name.is_empty() {
            return Err(Refusal::DefaultExchange);
        }
        let existing = self.topology.exchange(&declare.name).map(|exchange| &exchange.definition);
        match existing {
            None if declare.passive => return Err(Refusal::NotFound(Resource::Exchange(declare.name))),
            None if declare.name.starts_with(RESERVED_PREFIX) => {
                return Err(Refusal::ReservedName(Resource::Exchange(declare.name)));
            }
            None => self.add_exchange(declare, out),
            Some(_) if declare.passive => {}
            Some(existing) => assert_equivalent(existing, &declare)?,
        }
        Ok(Some(Answer::ExchangeDeclared))
    }

    pub(crate) fn delete_exchange(&mut self, name: ShortString, if_unused: bool, out: &mut Output) -> Reply {
        if name.is_empty() {
            return Err(Refusal::DefaultExchange);
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Err(Refusal::SystemExchange { exchange: name });
        }
        if let Some(exchange) = self.topology.exchange(&name) {
            if if_unused && exchange.is_source() {
                return Err(Refusal::InUse(Resource::Exchange(name)));
            }
            self.remove_exchange(name, out);
        }
        Ok(Some(Answer::ExchangeDeleted))
    }

    /// Takes an exchange away, and with it the auto-delete exchanges that fed nothing else.
    fn remove_exchange(&mut self, name: ShortString, out: &mut Output) {
        let sources = self.topology.sources_of(&Destination::Exchange(name.clone()));
        let durable = self.topology.exchange(&name).is_some_and(|exchange| exchange.definition.durable);
        self.topology.delete(&name);
        out.record_if(durable, &Record::ExchangeDeleted { name });
        self.remove_idle_exchanges(sources, out);
    }

    /// Takes away those of `sources` that are auto-delete and have just lost their last binding.
    pub(crate) fn remove_idle_exchanges(&mut self, sources: Vec<ShortString>, out: &mut Output) {
        let mut waiting = VecDeque::from(sources);
        while let Some(name) = waiting.pop_front() {
            let idle = |exchange: &crate::routing::Exchange| {
                exchange.definition.auto_delete && !exchange.is_source()
            };
            if self.topology.exchange(&name).is_some_and(idle) {
                self.remove_exchange(name, out);
            }
        }
    }

    fn add_exchange(&mut self, declare: DeclareExchange, out: &mut Output) {
        let definition = ExchangeDefinition {
            name: declare.name,
            kind: declare.kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments,
        };
        let durable = definition.durable;
        self.topology.declare(definition.clone());
        out.record_if(durable, &Record::ExchangeDeclared(definition));
    }
}

fn assert_equivalent(existing: &ExchangeDefinition, declare: &DeclareExchange) -> Result<(), Refusal> {
    let resource = || Resource::Exchange(declare.name.clone());
    text(resource, "type", &declare.kind, &existing.kind)?;
    flag(resource, "durable", declare.durable, existing.durable)?;
    flag(resource, "auto_delete", declare.auto_delete, existing.auto_delete)?;
    flag(resource, "internal", declare.internal, existing.internal)?;
    let value = |table: &'_ Table| -> Option<Value> { table.get(ALTERNATE_EXCHANGE).cloned() };
    argument(
        resource,
        ALTERNATE_EXCHANGE,
        value(&declare.arguments).as_ref(),
        value(&existing.arguments).as_ref(),
    )
}
