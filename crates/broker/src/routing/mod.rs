//! From a published message to the queues that take it.

mod direct;
mod fanout;
mod headers;
mod topic;
mod topology;

use field_table::{ShortString, Table};

use crate::record::Destination;
use crate::{Envelope, Refusal};

pub(crate) use topology::{Exchange, Topology};

/// What a message is routed by.
pub(crate) struct Routed<'a> {
    pub(crate) routing_key: &'a [u8],
    envelope: &'a Envelope,
    headers: Option<std::ops::Range<u32>>,
    /// Decoded at the first headers exchange that the message meets.
    decoded: Option<Table>,
}

impl<'a> Routed<'a> {
    pub(crate) fn new(envelope: &'a Envelope, headers: Option<std::ops::Range<u32>>) -> Self {
        Self { routing_key: envelope.routing_key(), envelope, headers, decoded: None }
    }

    /// The message's headers; empty when there are none, or when they can't be read (which the front end has
    /// refused before).
    fn headers(&mut self) -> &Table {
        let (envelope, range) = (self.envelope, &self.headers);
        self.decoded.get_or_insert_with(|| {
            let raw = range
                .as_ref()
                .and_then(|range| envelope.properties().get(range.start as usize..range.end as usize));
            raw.and_then(|mut raw| Table::read(&mut raw).ok()).unwrap_or_default()
        })
    }
}

/// The types of exchange that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl ExchangeKind {
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"direct" => Some(Self::Direct),
            b"fanout" => Some(Self::Fanout),
            b"topic" => Some(Self::Topic),
            b"headers" => Some(Self::Headers),
            _ => None,
        }
    }
}

/// The bindings of one exchange, indexed as its type looks them up.
///
/// Each destination stands once for each binding that leads to it; whoever collects drops repeats.
#[derive(Debug)]
pub(crate) enum Router {
    Direct(direct::Direct),
    Fanout(fanout::Fanout),
    Topic(topic::Topic),
    Headers(headers::Headers),
}

impl Router {
    pub(crate) fn new(kind: ExchangeKind) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(direct::Direct::default()),
            ExchangeKind::Fanout => Self::Fanout(fanout::Fanout::default()),
            ExchangeKind::Topic => Self::Topic(topic::Topic::default()),
            ExchangeKind::Headers => Self::Headers(headers::Headers::default()),
        }
    }

    /// Refuses what an exchange of this kind can't be bound with.
    pub(crate) fn check(&self, arguments: &Table) -> Result<(), Refusal> {
        match self {
            Self::Headers(_) => headers::check(arguments),
            _ => Ok(()),
        }
    }

    pub(crate) fn add(&mut self, key: &ShortString, arguments: &Table, destination: &Destination) {
        match self {
            Self::Direct(router) => router.add(key, destination),
            Self::Fanout(router) => router.add(destination),
            Self::Topic(router) => router.add(key, destination),
            Self::Headers(router) => router.add(arguments, destination),
        }
    }

    pub(crate) fn remove(&mut self, key: &ShortString, arguments: &Table, destination: &Destination) {
        match self {
            Self::Direct(router) => router.remove(key, destination),
            Self::Fanout(router) => router.remove(destination),
            Self::Topic(router) => router.remove(key, destination),
            Self::Headers(router) => router.remove(arguments, destination),
        }
    }

    /// Calls `found` for every destination that a binding sends the message to.
    fn route(&self, message: &mut Routed<'_>, found: &mut dyn FnMut(&Destination)) {
        match self {
            Self::Direct(router) => router.route(message.routing_key, found),
            Self::Fanout(router) => router.route(found),
            Self::Topic(router) => router.route(message.routing_key, found),
            Self::Headers(router) => router.route(message.headers(), found),
        }
    }
}

/// Takes one entry equal to `wanted` out of `list`.
fn remove_one(list: &mut Vec<Destination>, wanted: &Destination) {
    if let Some(at) = list.iter().position(|destination| destination == wanted) {
        list.remove(at);
    }
}
