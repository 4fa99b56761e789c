//! Topic exchanges: words, `*` for exactly one, `#` for any number.

use std::collections::BTreeMap;

use field_table::ShortString;

use super::remove_one;
use crate::record::Destination;

/// A trie of binding keys, word by word.
///
/// Matching carries the *set* of nodes that the words so far may have reached, like a regular expression run
/// without backtracking. So its cost is words x reachable nodes, also for keys with many `#`, where trying one
/// path after the other takes exponential time.
#[derive(Debug)]
pub(crate) struct Topic {
    nodes: Vec<Node>,
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Node {
    words: BTreeMap<Box<[u8]>, usize>,
    star: Option<usize>,
    hash: Option<usize>,
    /// This node stands behind a `#`: it keeps itself alive whatever word comes.
    repeats: bool,
    destinations: Vec<Destination>,
}

/// One word of a binding key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    Literal(&'a [u8]),
    Star,
    Hash,
}

const ROOT: usize = 0;

impl Default for Topic {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }
}

impl Topic {
    pub(super) fn add(&mut self, key: &ShortString, destination: &Destination) {
        let mut at = ROOT;
        for word in pattern(key) {
            at = match self.child(at, word) {
                Some(child) => child,
                None => self.insert(at, word),
            };
        }
        self.nodes[at].destinations.push(destination.clone());
    }

    pub(super) fn remove(&mut self, key: &ShortString, destination: &Destination) {
        let mut path = vec![ROOT];
        for word in pattern(key) {
            let Some(child) = self.child(path[path.len() - 1], word) else { return };
            path.push(child);
        }
        remove_one(&mut self.nodes[path[path.len() - 1]].destinations, destination);
        self.prune(key, &path);
    }

    pub(super) fn route(&self, key: &[u8], found: &mut dyn FnMut(&Destination)) {
        let (mut reached, mut next) = (Vec::with_capacity(8), Vec::with_capacity(8));
        self.reach(ROOT, &mut reached);
        for word in words(key) {
            for &at in &reached {
                let node = &self.nodes[at];
                if node.repeats {
                    self.reach(at, &mut next);
                }
                if let Some(&child) = node.words.get(word) {
                    self.reach(child, &mut next);
                }
                if let Some(child) = node.star {
                    self.reach(child, &mut next);
                }
            }
            std::mem::swap(&mut reached, &mut next);
            next.clear();
        }
        reached.iter().flat_map(|&at| &self.nodes[at].destinations).for_each(found);
    }

    /// Adds a node, and what `#` reaches from it without a word, to a set.
    fn reach(&self, at: usize, set: &mut Vec<usize>) {
        if set.contains(&at) {
            return;
        }
        set.push(at);
        if let Some(behind_hash) = self.nodes[at].hash {
            self.reach(behind_hash, set);
        }
    }

    fn child(&self, at: usize, word: Word<'_>) -> Option<usize> {
        match word {
            Word::Literal(literal) => self.nodes[at].words.get(literal).copied(),
            Word::Star => self.nodes[at].star,
            Word::Hash => self.nodes[at].hash,
        }
    }

    fn insert(&mut self, parent: usize, word: Word<'_>) -> usize {
        let node = Node { repeats: word == Word::Hash, ..Node::default() };
        let child = match self.free.pop() {
            Some(at) => {
                self.nodes[at] = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        match word {
            Word::Literal(literal) => {
                self.nodes[parent].words.insert(literal.into(), child);
            }
            Word::Star => self.nodes[parent].star = Some(child),
            Word::Hash => self.nodes[parent].hash = Some(child),
        }
        child
    }

    /// Takes away the nodes at the end of `path` that lead nowhere any more.
    fn prune(&mut self, key: &[u8], path: &[usize]) {
        let words: Vec<Word<'_>> = pattern(key).collect();
        for depth in (1..path.len()).rev() {
            let node = &self.nodes[path[depth]];
            let leads_on = !node.words.is_empty() || node.star.is_some() || node.hash.is_some();
            if leads_on || !node.destinations.is_empty() {
                return;
            }
            let parent = &mut self.nodes[path[depth - 1]];
            match words[depth - 1] {
                Word::Literal(literal) => {
                    parent.words.remove(literal);
                }
                Word::Star => parent.star = None,
                Word::Hash => parent.hash = None,
            }
            self.free.push(path[depth]);
        }
    }
}

/// The words of a key. The empty key has none; `a..b` has an empty one in the middle.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|byte| *byte == b'.').filter(move |_| !key.is_empty())
}

fn pattern(key: &[u8]) -> impl Iterator<Item = Word<'_>> {
    words(key).map(|word| match word {
        b"*" => Word::Star,
        b"#" => Word::Hash,
        literal => Word::Literal(literal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueueNumber;

    fn key(text: &str) -> ShortString {
        ShortString::try_from(text.as_bytes()).unwrap()
    }

    fn destination(number: usize) -> Destination {
        Destination::Queue(QueueNumber(number as u64))
    }

    fn matches(topic: &Topic, routing_key: &str) -> Vec<u64> {
        let mut found = Vec::new();
        topic.route(routing_key.as_bytes(), &mut |destination| {
            let Destination::Queue(number) = destination else { panic!("only queues are bound here") };
            found.push(number.0);
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    fn check(binding: &str, takes: &[&str], leaves: &[&str]) {
        let mut topic = Topic::default();
        topic.add(&key(binding), &destination(1));
        for routing_key in takes {
            assert_eq!(matches(&topic, routing_key), [1], "{binding} should take {routing_key:?}");
        }
        for routing_key in leaves {
            assert!(matches(&topic, routing_key).is_empty(), "{binding} should leave {routing_key:?}");
        }
    }

    #[test]
    fn star_is_exactly_one_word() {
        check("logs.*", &["logs.a", "logs."], &["logs", "logs.a.b", ""]);
        check("*", &["a"], &["", "a.b"]);
        check("a.*.b", &["a..b", "a.x.b"], &["a.b"]);
    }

    #[test]
    fn hash_is_any_number_of_words() {
        check("#", &["", "a", "a.b.c", "..."], &[]);
        check("a.#.b", &["a.b", "a.x.b", "a.b.b", "a.x.y.b"], &["a", "b", "a.x"]);
        check("#.#", &["", "a", "a.b"], &[]);
        check("#.a.#.b", &["a.b", "x.a.y.b", "a.a.b.b"], &["b.a"]);
    }

    #[test]
    fn wildcards_are_whole_words_only() {
        check("a*.b#", &["a*.b#"], &["ax.by"]);
    }

    #[test]
    fn twenty_eight_levels_and_many_hashes_stay_quick() {
        let binding = format!("{}#", "#.".repeat(27));
        check(&binding, &[&"1.".repeat(200)], &[]);
        let delay = format!("{}1.#", "*.".repeat(27));
        check(
            &delay,
            &[&format!("{}1.queue.name", "0.".repeat(27))],
            &[&format!("{}0.queue", "0.".repeat(27))],
        );
    }

    #[test]
    fn a_removed_binding_leaves_no_node_behind() {
        let mut topic = Topic::default();
        for text in ["a.b.c", "a.b", "a.*.c", "#.c", "#"] {
            topic.add(&key(text), &destination(1));
        }
        for text in ["a.b", "#", "a.*.c", "a.b.c", "#.c"] {
            topic.remove(&key(text), &destination(1));
        }
        assert_eq!(topic.nodes.len() - topic.free.len(), 1);
        assert!(matches(&topic, "a.b.c").is_empty());
    }

    /// What the words of the specification say, without any cleverness.
    fn reference(pattern: &[&str], words: &[&str]) -> bool {
        match (pattern.split_first(), words.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => {
                reference(rest, words)
                    || words.split_first().is_some_and(|(_, words)| reference(pattern, words))
            }
            (Some((word, pattern)), Some((first, words))) => {
                (word == first || *word == "*") && reference(pattern, words)
            }
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_reference(
            bindings in proptest::collection::vec("[ab#*](\\.[ab#*]){0,4}", 1..8),
            routing_key in "([ab](\\.[abc]){0,5})?",
        ) {
            let mut topic = Topic::default();
            for (number, binding) in bindings.iter().enumerate() {
                topic.add(&key(binding), &destination(number));
            }
            let words: Vec<&str> = if routing_key.is_empty() { Vec::new() } else { routing_key.split('.').collect() };
            let expected: Vec<u64> = (0..bindings.len())
                .filter(|at| reference(&bindings[*at].split('.').collect::<Vec<_>>(), &words))
                .map(|at| at as u64)
                .collect();
            proptest::prop_assert_eq!(matches(&topic, &routing_key), expected);
        }
    }
}
