//! Exchanges and what is bound to what.

use std::collections::{BTreeMap, BTreeSet};

use field_table::{ShortString, Table};

use super::headers::identity;
use super::{ExchangeKind, Routed, Router};
use crate::QueueNumber;
use crate::ledger::Ledger;
use crate::record::{BindingDefinition, Destination, ExchangeDefinition, write_binding};

/// An exchange with its bindings.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) definition: ExchangeDefinition,
    router: Router,
    /// Bindings that begin here.
    outgoing: u64,
}

/// All exchanges and bindings of a vhost, but for the default exchange, which is the queues' names themselves.
#[derive(Debug)]
pub(crate) struct Topology {
    exchanges: BTreeMap<ShortString, Exchange>,
    /// Every binding, under each of its two ends.
    bindings: BTreeSet<BindingKey>,
    by_destination: BTreeMap<Destination, BTreeSet<BindingKey>>,
    /// Which exchanges runs know, by name.
    pub(crate) exchange_ledger: Ledger<ShortString>,
    /// Which bindings runs know, as records encode them.
    pub(crate) binding_ledger: Ledger<Vec<u8>>,
}

/// A binding's identity, ordered by its source. Arguments stand in their canonical encoding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BindingKey {
    source: ShortString,
    destination: Destination,
    routing_key: ShortString,
    arguments: Vec<u8>,
}

/// The exchanges that every vhost has from the start.
pub(crate) const PREDECLARED: [(&str, &str, bool); 6] = [
    ("amq.direct", "direct", false),
    ("amq.fanout", "fanout", false),
    ("amq.topic", "topic", false),
    ("amq.headers", "headers", false),
    ("amq.match", "headers", false),
    ("amq.rabbitmq.trace", "topic", true),
];

impl Topology {
    pub(crate) fn new() -> Self {
        let mut topology = Self {
            exchanges: BTreeMap::new(),
            bindings: BTreeSet::new(),
            by_destination: BTreeMap::new(),
            exchange_ledger: Ledger::default(),
            binding_ledger: Ledger::default(),
        };
        for (name, kind, internal) in PREDECLARED {
            topology.declare(ExchangeDefinition {
                name: ShortString::from_static(name),
                kind: ShortString::from_static(kind),
                durable: true,
                auto_delete: false,
                internal,
                arguments: Table::default(),
            });
        }
        topology
    }

    pub(crate) fn exchange(&self, name: &[u8]) -> Option<&Exchange> {
        self.exchanges.get(name)
    }

    pub(crate) fn exchanges(&self) -> impl Iterator<Item = &ExchangeDefinition> {
        self.exchanges.values().map(|exchange| &exchange.definition)
    }

    pub(crate) fn bindings(&self) -> impl Iterator<Item = BindingDefinition> + '_ {
        self.bindings.iter().map(BindingKey::definition)
    }

    pub(crate) fn has_binding(&self, binding: &BindingDefinition) -> bool {
        self.bindings.contains(&BindingKey::of(binding))
    }

    /// Both ledgers, to be put back when they are sealed.
    pub(crate) fn take_ledgers(&mut self) -> (Ledger<ShortString>, Ledger<Vec<u8>>) {
        (std::mem::take(&mut self.exchange_ledger), std::mem::take(&mut self.binding_ledger))
    }

    pub(crate) fn put_ledgers(&mut self, exchanges: Ledger<ShortString>, bindings: Ledger<Vec<u8>>) {
        (self.exchange_ledger, self.binding_ledger) = (exchanges, bindings);
    }

    /// No run knows any of it.
    pub(crate) fn forget_seals(&mut self) {
        self.exchange_ledger.forget_seals(self.exchanges.keys().cloned());
        self.binding_ledger.forget_seals(self.bindings.iter().map(BindingKey::encoded));
    }

    /// Puts an exchange in. Its kind is one that exists: whoever decides has checked.
    pub(crate) fn declare(&mut self, definition: ExchangeDefinition) {
        let Some(kind) = ExchangeKind::named(&definition.kind) else {
            debug_assert!(false, "exchange type {} was let through", definition.kind);
            return;
        };
        let exchange = Exchange { router: Router::new(kind), outgoing: 0, definition };
        self.exchange_ledger.changed(exchange.definition.name.clone());
        self.exchanges.insert(exchange.definition.name.clone(), exchange);
    }

    /// Takes an exchange and the bindings on both its sides away.
    pub(crate) fn delete(&mut self, name: &ShortString) {
        self.unbind_destination(&Destination::Exchange(name.clone()));
        let outgoing: Vec<BindingKey> = self.bindings_from(name).cloned().collect();
        for binding in outgoing {
            self.remove_key(&binding);
        }
        self.exchanges.remove(name);
        self.exchange_ledger.gone(name.clone());
    }

    pub(crate) fn bind(&mut self, binding: &BindingDefinition) {
        let key = BindingKey::of(binding);
        let Some(exchange) = self.exchanges.get_mut(&binding.source) else { return };
        if self.bindings.insert(key.clone()) {
            exchange.outgoing += 1;
            exchange.router.add(&binding.routing_key, &binding.arguments, &binding.destination);
            self.binding_ledger.changed(key.encoded());
            self.by_destination.entry(binding.destination.clone()).or_default().insert(key);
        }
    }

    pub(crate) fn unbind(&mut self, binding: &BindingDefinition) {
        self.remove_key(&BindingKey::of(binding));
    }

    /// Takes away all bindings that lead to `destination`.
    pub(crate) fn unbind_destination(&mut self, destination: &Destination) {
        for binding in self.by_destination.get(destination).cloned().unwrap_or_default() {
            self.remove_key(&binding);
        }
    }

    /// The exchanges that lead to `destination`, each once.
    pub(crate) fn sources_of(&self, destination: &Destination) -> Vec<ShortString> {
        let bindings = self.by_destination.get(destination).into_iter().flatten();
        let sources: BTreeSet<&ShortString> = bindings.map(|binding| &binding.source).collect();
        sources.into_iter().cloned().collect()
    }

    /// Collects the queues that a message published to `exchange` reaches, each once, in a fixed order.
    ///
    /// Exchanges that are bound to exchanges are walked once each, so cycles are fine.
    pub(crate) fn route(&self, exchange: &Exchange, message: &mut Routed<'_>, queues: &mut Vec<QueueNumber>) {
        let mut waiting: Vec<ShortString> = Vec::new();
        collect(exchange, message, queues, &mut waiting);
        if !waiting.is_empty() {
            self.route_onward(exchange, message, queues, waiting);
        }
        if queues.len() > 1 {
            queues.sort_unstable();
            queues.dedup();
        }
    }

    fn route_onward(
        &self,
        from: &Exchange,
        message: &mut Routed<'_>,
        queues: &mut Vec<QueueNumber>,
        mut waiting: Vec<ShortString>,
    ) {
        let mut visited = BTreeSet::from([from.definition.name.clone()]);
        while let Some(name) = waiting.pop() {
            let Some(next) = self.exchanges.get(&name) else { continue };
            if visited.insert(name) {
                collect(next, message, queues, &mut waiting);
            }
        }
    }

    fn bindings_from(&self, source: &ShortString) -> impl Iterator<Item = &BindingKey> {
        let first = BindingKey {
            source: source.clone(),
            destination: Destination::Queue(QueueNumber(0)),
            routing_key: ShortString::default(),
            arguments: Vec::new(),
        };
        let source = source.clone();
        self.bindings.range(first..).take_while(move |binding| binding.source == source)
    }

    fn remove_key(&mut self, key: &BindingKey) {
        if !self.bindings.remove(key) {
            return;
        }
        self.binding_ledger.gone(key.encoded());
        if let Some(same_end) = self.by_destination.get_mut(&key.destination) {
            same_end.remove(key);
            if same_end.is_empty() {
                self.by_destination.remove(&key.destination);
            }
        }
        if let Some(exchange) = self.exchanges.get_mut(&key.source) {
            let binding = key.definition();
            exchange.outgoing -= 1;
            exchange.router.remove(&binding.routing_key, &binding.arguments, &binding.destination);
        }
    }
}

impl Exchange {
    pub(crate) fn is_source(&self) -> bool {
        self.outgoing > 0
    }

    pub(crate) fn router(&self) -> &Router {
        &self.router
    }
}

impl BindingKey {
    fn of(binding: &BindingDefinition) -> Self {
        Self {
            source: binding.source.clone(),
            destination: binding.destination.clone(),
            routing_key: binding.routing_key.clone(),
            arguments: identity(&binding.arguments),
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut encoded = Vec::new();
        write_binding(&self.definition(), &mut encoded);
        encoded
    }

    fn definition(&self) -> BindingDefinition {
        BindingDefinition {
            source: self.source.clone(),
            destination: self.destination.clone(),
            routing_key: self.routing_key.clone(),
            arguments: Table::read(&mut &self.arguments[..]).expect("encoded by this very type"),
        }
    }
}

/// Sorts what one exchange sends a message to: queues, and exchanges that still have to be asked.
fn collect(
    exchange: &Exchange,
    message: &mut Routed<'_>,
    queues: &mut Vec<QueueNumber>,
    exchanges: &mut Vec<ShortString>,
) {
    exchange.router.route(message, &mut |destination| match destination {
        Destination::Queue(number) => queues.push(*number),
        Destination::Exchange(name) => exchanges.push(name.clone()),
    });
}
