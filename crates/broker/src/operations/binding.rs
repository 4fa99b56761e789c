//! Queues and exchanges are bound and unbound.

use field_table::ShortString;

use crate::broker::{Broker, Reply, Request};
use crate::command::Binding;
use crate::effect::Answer;
use crate::output::Output;
use crate::record::{BindingDefinition, Destination, Record, write_binding};
use crate::reply_to::is_reply_queue;
use crate::{Refusal, Resource};

/// Bytes of a binding with its arguments: it is the key of a row, which may have 65,535.
const BINDING_BYTES_MAX: usize = 60_000;

impl Broker {
    pub(crate) fn bind_queue(&mut self, request: Request, binding: Binding, out: &mut Output) -> Reply {
        refuse_default_exchange(&binding.source)?;
        refuse_reply_queue(&binding.destination)?;
        self.source_exists(&binding)?;
        let queue = self.usable_queue(request, &binding.destination)?;
        self.bind(binding, Destination::Queue(queue), out)?;
        Ok(Some(Answer::QueueBound))
    }

    pub(crate) fn bind_exchange(&mut self, binding: Binding, out: &mut Output) -> Reply {
        refuse_default_exchange(&binding.source)?;
        refuse_default_exchange(&binding.destination)?;
        self.source_exists(&binding)?;
        if self.topology.exchange(&binding.destination).is_none() {
            return Err(Refusal::NotFound(Resource::Exchange(binding.destination)));
        }
        let destination = Destination::Exchange(binding.destination.clone());
        self.bind(binding, destination, out)?;
        Ok(Some(Answer::ExchangeBound))
    }

    pub(crate) fn unbind_queue(&mut self, request: Request, binding: Binding, out: &mut Output) -> Reply {
        refuse_default_exchange(&binding.source)?;
        refuse_reply_queue(&binding.destination)?;
        if let Some(number) = self.queue_names.get(&binding.destination) {
            let destination = Destination::Queue(*number);
            // What is not there can be removed by anyone, also from a queue that is locked.
            if self.topology.has_binding(&define(binding.clone(), destination.clone())) {
                self.usable_queue(request, &binding.destination)?;
                self.unbind(binding, destination, out);
            }
        }
        Ok(Some(Answer::QueueUnbound))
    }

    pub(crate) fn unbind_exchange(&mut self, binding: Binding, out: &mut Output) -> Reply {
        refuse_default_exchange(&binding.source)?;
        refuse_default_exchange(&binding.destination)?;
        let destination = Destination::Exchange(binding.destination.clone());
        self.unbind(binding, destination, out);
        Ok(Some(Answer::ExchangeUnbound))
    }

    /// A missing source is told before a missing or locked destination.
    fn source_exists(&self, binding: &Binding) -> Result<(), Refusal> {
        let found = self.topology.exchange(&binding.source).map(|_| ());
        found.ok_or_else(|| Refusal::NotFound(Resource::Exchange(binding.source.clone())))
    }

    fn bind(&mut self, binding: Binding, destination: Destination, out: &mut Output) -> Result<(), Refusal> {
        let Some(source) = self.topology.exchange(&binding.source) else {
            return Err(Refusal::NotFound(Resource::Exchange(binding.source)));
        };
        source.router().check(&binding.arguments)?;
        let definition = define(binding, destination);
        let mut encoded = Vec::new();
        write_binding(&definition, &mut encoded);
        if encoded.len() > BINDING_BYTES_MAX {
            return Err(Refusal::BindingTooLarge { bytes: encoded.len(), limit: BINDING_BYTES_MAX });
        }
        if !self.topology.has_binding(&definition) {
            let durable = self.is_durable_binding(&definition);
            self.topology.bind(&definition);
            out.record_if(durable, &Record::BindingAdded(definition));
        }
        Ok(())
    }

    fn unbind(&mut self, binding: Binding, destination: Destination, out: &mut Output) {
        let definition = define(binding, destination);
        if !self.topology.has_binding(&definition) {
            return;
        }
        let durable = self.is_durable_binding(&definition);
        let source = definition.source.clone();
        self.topology.unbind(&definition);
        out.record_if(durable, &Record::BindingRemoved(definition));
        self.remove_idle_exchanges(vec![source], out);
    }

    /// A binding survives a restart when both its ends do.
    pub(crate) fn is_durable_binding(&self, binding: &BindingDefinition) -> bool {
        let exchange =
            |name: &[u8]| self.topology.exchange(name).is_some_and(|found| found.definition.durable);
        exchange(&binding.source)
            && match &binding.destination {
                Destination::Queue(number) => self.queues.get(number).is_some_and(|queue| queue.is_durable()),
                Destination::Exchange(name) => exchange(name),
            }
    }
}

fn refuse_default_exchange(name: &[u8]) -> Result<(), Refusal> {
    if name.is_empty() { Err(Refusal::DefaultExchange) } else { Ok(()) }
}

/// Direct replies have one way in: the default exchange.
fn refuse_reply_queue(name: &ShortString) -> Result<(), Refusal> {
    if is_reply_queue(name) { Err(Refusal::ReplyQueueBound { queue: name.clone() }) } else { Ok(()) }
}

fn define(binding: Binding, destination: Destination) -> BindingDefinition {
    let Binding { source, routing_key, arguments, .. } = binding;
    BindingDefinition { source, destination, routing_key, arguments }
}
