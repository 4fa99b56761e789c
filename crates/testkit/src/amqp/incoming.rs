//! What a broker says: a method, with its content if it has one.

use amqp_wire::{ArgumentReader, Method, MethodArguments, basic};

/// One method from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where it came; 0 is the connection itself.
    pub channel: u16,
    /// The method.
    pub method: Method,
    /// Header and body, for methods that carry content.
    pub content: Option<Content>,
}

/// Properties and body of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// As encoded; `amqp_wire::PropertiesView` and `amqp_wire::Properties` read them.
    pub properties: Vec<u8>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Incoming {
    /// The method's arguments, if it is an `M`.
    pub fn get<M: MethodArguments>(&self) -> Option<M> {
        if self.method.id() != M::SPEC.id {
            return None;
        }
        let mut payload = Vec::new();
        self.method.encode(&mut payload);
        M::read(&mut ArgumentReader::new(&payload[4..])).ok()
    }

    /// The delivery and its body, if this is one.
    pub fn delivery(&self) -> Option<(&basic::Deliver, &[u8])> {
        match (&self.method, &self.content) {
            (Method::Basic(basic::Method::Deliver(deliver)), Some(content)) => Some((deliver, &content.body)),
            _ => None,
        }
    }

    /// Whether the broker ends a channel or the connection.
    pub fn is_close(&self) -> bool {
        matches!((self.method.id().class_id, self.method.id().method_id), (10, 50) | (20, 40))
    }
}
