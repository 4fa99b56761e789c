//! Exchanges and bindings in two lists, and routing as the specification says it.

use broker::{Binding, DeclareExchange, Refusal};
use field_table::{Table, Value};

/// Where a binding leads. Queues have numbers, because a queue that is declared again is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Queue(u64),
    Exchange(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) source: String,
    pub(crate) to: Node,
    pub(crate) key: String,
    pub(crate) arguments: Table,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
}

pub(crate) struct Topology {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) bindings: Vec<Bound>,
}

impl Topology {
    pub(crate) fn new() -> Self {
        let predeclared = [
            ("amq.direct", "direct"),
            ("amq.fanout", "fanout"),
            ("amq.headers", "headers"),
            ("amq.match", "headers"),
            ("amq.rabbitmq.trace", "topic"),
            ("amq.topic", "topic"),
        ];
        let exchange = |(name, kind): &(&str, &str)| Exchange {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            durable: true,
            auto_delete: false,
            internal: *name == "amq.rabbitmq.trace",
        };
        Self { exchanges: predeclared.iter().map(exchange).collect(), bindings: Vec::new() }
    }

    pub(crate) fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.name == name)
    }

    pub(crate) fn declare(&mut self, declare: &DeclareExchange) {
        self.exchanges.push(Exchange {
            name: declare.name.to_string(),
            kind: declare.kind.to_string(),
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
        });
    }

    pub(crate) fn is_source(&self, name: &str) -> bool {
        self.bindings.iter().any(|binding| binding.source == name)
    }

    /// Whether both ends survive a restart.
    pub(crate) fn is_durable(&self, binding: &Bound, is_durable_queue: impl Fn(u64) -> bool) -> bool {
        let exchange = |name: &str| self.exchange(name).is_some_and(|exchange| exchange.durable);
        exchange(&binding.source)
            && match &binding.to {
                Node::Queue(number) => is_durable_queue(*number),
                Node::Exchange(name) => exchange(name),
            }
    }

    pub(crate) fn bind(&mut self, binding: &Binding, to: Node) -> Result<(), Refusal> {
        if self.exchange(&text(&binding.source)).is_some_and(|exchange| exchange.kind == "headers") {
            check_match(&binding.arguments)?;
        }
        let bound = bound(binding, to);
        if !self.bindings.contains(&bound) {
            self.bindings.push(bound);
        }
        Ok(())
    }

    pub(crate) fn has(&self, binding: &Binding, to: Node) -> bool {
        self.bindings.contains(&bound(binding, to))
    }

    pub(crate) fn unbind(&mut self, binding: &Binding, to: Node) {
        let bound = bound(binding, to);
        self.remove(|binding| *binding == bound);
    }

    pub(crate) fn unbind_all(&mut self, to: &Node) {
        self.remove(|binding| binding.to == *to);
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.exchanges.retain(|exchange| exchange.name != name);
        self.bindings.retain(|binding| binding.source != name);
        self.unbind_all(&Node::Exchange(name.to_owned()));
    }

    /// Takes bindings away, and auto-delete exchanges with their last one.
    fn remove(&mut self, which: impl Fn(&Bound) -> bool) {
        let sources: Vec<String> = self
            .bindings
            .iter()
            .filter(|binding| which(binding))
            .map(|binding| binding.source.clone())
            .collect();
        self.bindings.retain(|binding| !which(binding));
        for source in sources {
            let is_idle = self.exchange(&source).is_some_and(|exchange| exchange.auto_delete);
            if is_idle && !self.is_source(&source) {
                self.delete(&source);
            }
        }
    }

    /// The queues that a message reaches.
    pub(crate) fn route(&self, exchange: &str, key: &str, headers: &Table) -> Vec<u64> {
        let mut reached = vec![Node::Exchange(exchange.to_owned())];
        let mut at = 0;
        while at < reached.len() {
            if let Node::Exchange(source) = reached[at].clone() {
                let taken = self.bindings.iter().filter(|binding| binding.source == source);
                let kind = self.exchange(&source).map_or("", |exchange| &exchange.kind);
                for binding in taken.filter(|binding| takes(kind, binding, key, headers)) {
                    if !reached.contains(&binding.to) {
                        reached.push(binding.to.clone());
                    }
                }
            }
            at += 1;
        }
        let queue = |node: &Node| if let Node::Queue(number) = node { Some(*number) } else { None };
        reached.iter().filter_map(queue).collect()
    }
}

fn takes(kind: &str, binding: &Bound, key: &str, headers: &Table) -> bool {
    match kind {
        "fanout" => true,
        "direct" => binding.key == key,
        "topic" => topic_matches(&words(&binding.key), &words(key)),
        _ => headers_match(&binding.arguments, headers),
    }
}

fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn topic_matches(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern, words) {
        ([], []) => true,
        (["#", rest @ ..], _) if topic_matches(rest, words) => true,
        (["#", ..], [_, words @ ..]) => topic_matches(pattern, words),
        ([word, pattern @ ..], [first, words @ ..]) => {
            (word == first || *word == "*") && topic_matches(pattern, words)
        }
        _ => false,
    }
}

fn headers_match(arguments: &Table, headers: &Table) -> bool {
    let word = match arguments.get(b"x-match") {
        Some(Value::LongString(word)) => String::from_utf8_lossy(word).into_owned(),
        _ => "all".to_owned(),
    };
    let counts = |key: &[u8]| match word.ends_with("-with-x") {
        true => key != b"x-match",
        false => !key.starts_with(b"x-"),
    };
    let agrees = |key: &[u8], wanted: &Value| {
        headers.get(key).is_some_and(|value| *wanted == Value::Void || same(value, wanted))
    };
    let mut counting = arguments.iter().filter(|(key, _)| counts(key));
    match word.starts_with("any") {
        true => counting.any(|(key, wanted)| agrees(key, wanted)),
        false => counting.all(|(key, wanted)| agrees(key, wanted)),
    }
}

/// Integers of any width are equal by value.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::I32(one), Value::I64(other)) | (Value::I64(other), Value::I32(one)) => {
            i64::from(*one) == *other
        }
        _ => one == other,
    }
}

fn check_match(arguments: &Table) -> Result<(), Refusal> {
    match arguments.get(b"x-match") {
        None => Ok(()),
        Some(Value::LongString(word)) => {
            let known = [&b"all"[..], b"any", b"all-with-x", b"any-with-x"].contains(&&word[..]);
            let value = || word[..].try_into().expect("words in tests are short");
            if known { Ok(()) } else { Err(Refusal::HeadersMatchValue { value: value() }) }
        }
        Some(other) => Err(Refusal::HeadersMatchType { value: other.clone() }),
    }
}

/// A binding, as it is told from others: its arguments in any order.
fn bound(binding: &Binding, to: Node) -> Bound {
    let mut entries: Vec<_> = binding.arguments.iter().cloned().collect();
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let (source, key) = (text(&binding.source), text(&binding.routing_key));
    Bound { source, to, key, arguments: entries.into_iter().collect() }
}

pub(crate) fn text(name: &[u8]) -> String {
    String::from_utf8(name.to_vec()).expect("names in tests are text")
}
