//! Headers exchanges: the binding's arguments are compared with the message's headers.

use field_table::{ShortString, Table, Value};

use crate::Refusal;
use crate::record::Destination;

const MATCH: &[u8] = b"x-match";

/// How many of a binding's arguments have to agree, and which count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    All,
    Any,
    AllWithX,
    AnyWithX,
}

#[derive(Debug)]
struct HeadersBinding {
    rule: Match,
    arguments: Table,
    /// The arguments in their canonical encoding, by which the binding is found again.
    identity: Vec<u8>,
    destination: Destination,
}

#[derive(Debug, Default)]
pub(crate) struct Headers {
    bindings: Vec<HeadersBinding>,
}

impl Headers {
    pub(super) fn add(&mut self, arguments: &Table, destination: &Destination) {
        let rule = rule(arguments).unwrap_or(Match::All);
        self.bindings.push(HeadersBinding {
            rule,
            arguments: arguments.clone(),
            identity: identity(arguments),
            destination: destination.clone(),
        });
    }

    pub(super) fn remove(&mut self, arguments: &Table, destination: &Destination) {
        let wanted = identity(arguments);
        let same =
            |binding: &HeadersBinding| binding.destination == *destination && binding.identity == wanted;
        if let Some(at) = self.bindings.iter().position(same) {
            self.bindings.remove(at);
        }
    }

    pub(super) fn route(&self, headers: &Table, found: &mut dyn FnMut(&Destination)) {
        self.bindings
            .iter()
            .filter(|binding| binding.takes(headers))
            .for_each(|binding| found(&binding.destination));
    }
}

impl HeadersBinding {
    fn takes(&self, headers: &Table) -> bool {
        let mut counting = self.arguments.iter().filter(|(key, _)| self.counts(key));
        let agrees = |(key, wanted): &(ShortString, Value)| match headers.get(key) {
            None => false,
            Some(_) if matches!(wanted, Value::Void) => true,
            Some(present) => present.same_value(wanted),
        };
        match self.rule {
            Match::All | Match::AllWithX => counting.all(agrees),
            Match::Any | Match::AnyWithX => counting.any(agrees),
        }
    }

    fn counts(&self, key: &[u8]) -> bool {
        match self.rule {
            Match::All | Match::Any => !key.starts_with(b"x-"),
            Match::AllWithX | Match::AnyWithX => key != MATCH,
        }
    }
}

/// Arguments as bytes that are equal exactly when the bindings are the same.
pub(super) fn identity(arguments: &Table) -> Vec<u8> {
    let mut bytes = Vec::new();
    arguments.canonical().encode(&mut bytes);
    bytes
}

/// Refuses an `x-match` that says nothing known.
pub(super) fn check(arguments: &Table) -> Result<(), Refusal> {
    rule(arguments).map(|_| ())
}

fn rule(arguments: &Table) -> Result<Match, Refusal> {
    match arguments.get(MATCH) {
        None => Ok(Match::All),
        Some(Value::LongString(word)) => match &word[..] {
            b"all" => Ok(Match::All),
            b"any" => Ok(Match::Any),
            b"all-with-x" => Ok(Match::AllWithX),
            b"any-with-x" => Ok(Match::AnyWithX),
            other => {
                let shown = &other[..other.len().min(ShortString::BYTES_MAX)];
                Err(Refusal::HeadersMatchValue { value: ShortString::try_from(shown).unwrap_or_default() })
            }
        },
        Some(other) => Err(Refusal::HeadersMatchType { value: other.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueueNumber;

    fn table(entries: &[(&'static str, Value)]) -> Table {
        let mut table = Table::default();
        for (key, value) in entries {
            table.insert(ShortString::from_static(key), value.clone());
        }
        table
    }

    fn word(text: &'static str) -> Value {
        Value::LongString(text.as_bytes().into())
    }

    fn check_match(binding: &[(&'static str, Value)], headers: &[(&'static str, Value)], expected: bool) {
        let mut router = Headers::default();
        router.add(&table(binding), &Destination::Queue(QueueNumber(1)));
        let mut found = 0;
        router.route(&table(headers), &mut |_| found += 1);
        assert_eq!(found == 1, expected, "{binding:?} against {headers:?}");
    }

    #[test]
    fn all_is_the_default_and_wants_every_argument() {
        let binding = [("a", Value::I32(5)), ("b", word("x"))];
        check_match(&binding, &[("a", Value::I64(5)), ("b", word("x")), ("c", Value::Void)], true);
        check_match(&binding, &[("a", Value::I64(5))], false);
        check_match(&binding, &[("a", word("5")), ("b", word("x"))], false);
    }

    #[test]
    fn an_empty_binding_matches_all_and_never_any() {
        check_match(&[], &[("a", Value::I32(1))], true);
        check_match(&[("x-match", word("any"))], &[("a", Value::I32(1))], false);
    }

    #[test]
    fn arguments_with_x_count_only_where_the_rule_says_so() {
        let headers = [("a", Value::I32(1))];
        check_match(
            &[("x-match", word("all")), ("x-b", Value::I32(1)), ("a", Value::I32(1))],
            &headers,
            true,
        );
        check_match(
            &[("x-match", word("all-with-x")), ("x-b", Value::I32(1)), ("a", Value::I32(1))],
            &headers,
            false,
        );
        check_match(
            &[("x-match", word("any-with-x")), ("x-b", Value::I32(1)), ("a", Value::I32(1))],
            &headers,
            true,
        );
    }

    #[test]
    fn void_asks_for_presence_only() {
        check_match(&[("a", Value::Void)], &[("a", word("whatever"))], true);
        check_match(&[("a", Value::Void)], &[("b", Value::Void)], false);
    }
}
